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
      ({ view }) => { place.dataset.drawn = "yes"; return { place, view }; },
      (error) => {
        place.textContent = "This chart could not be drawn; its figures stand in the table below.";
        console.error(error);
      },
    ));
  Promise.all(all).then((drawn) => {
    document.body.dataset.drawn = "yes";
    // On paper each chart is as wide as its column there, so that its texts keep their size.
    const paper = { three: 172, two: 290 };
    addEventListener("beforeprint", () => {
      for (const { place, view } of drawn.filter(Boolean)) {
        const columns = ["three", "two"].find((one) => place.closest(`.grid.${one}`));
        view.signal("width", paper[columns] ?? 640).run();
        view.resize().run(); // a legend may have become higher
      }
    });
    addEventListener("afterprint", () => dispatchEvent(new Event("resize")));
    addEventListener("resize", () => requestAnimationFrame(() => {
      for (const { view } of drawn.filter(Boolean)) view.resize().run();
    }));
  });
})();
