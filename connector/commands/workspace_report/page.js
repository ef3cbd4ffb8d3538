(() => {
  "use strict";
  const { config, specs } = JSON.parse(document.getElementById("charts").textContent);

  // Tooltips are text, whatever they hold.
  const box = document.createElement("div");
  box.id = "told";
  box.hidden = true;
  document.body.append(box);
  const tell = (_handler, event, _item, value) => {
    box.hidden = value === null || value === undefined || value === "";
    if (box.hidden) return;
    box.textContent = String(value);
    const { clientX: x, clientY: y } = event;
    const left = x + 14 + box.offsetWidth > innerWidth ? x - 14 - box.offsetWidth : x + 14;
    const top = y + 14 + box.offsetHeight > innerHeight ? y - 14 - box.offsetHeight : y + 14;
    box.style.left = `${Math.max(4, left)}px`;
    box.style.top = `${Math.max(4, top)}px`;
  };

  // Nothing is loaded from anywhere, and no expression becomes code.
  const refuse = () => Promise.reject(new Error("nothing is loaded"));
  const loader = { load: refuse, sanitize: refuse, http: refuse, file: refuse };
  const options = {
    ast: true, renderer: "svg", actions: false, defaultStyle: false, hover: false, logLevel: 1,
    mode: "vega-lite", config, tooltip: tell, loader,
  };
  const all = [...document.querySelectorAll("[data-chart]")].map((place) =>
    vegaEmbed(place, specs[place.dataset.chart], options).then(
      () => { place.dataset.drawn = "yes"; },
      (error) => {
        place.textContent = "This chart could not be drawn; its figures stand in the table below.";
        console.error(error);
      },
    ));
  Promise.all(all).then(() => { document.body.dataset.drawn = "yes"; });
})();
