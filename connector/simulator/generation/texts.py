"""Names, bodies and addresses as people really write them; knows no Intercom object."""

from __future__ import annotations

from random import Random

from connector.simulator.encoding import HTML_MARK, MARK

FIRST = (
    "Ada", "Björn", "Chloé", "Dmitri", "Emine", "François", "Gözde", "Hiroshi", "Ingrid", "José",
    "Kwame", "Łukasz", "Márta", "Nguyễn", "Olu", "Priya", "Quentin", "Renée", "Søren", "Tomás",
    "Ülkü", "Wei", "Xóchitl", "Yael", "Zoë", "Мария", "美咲", "محمد", "Ελένη", "נועה",
)  # fmt: skip
LAST = (
    "Anderson", "Bağcı", "Castillo", "D&#39;Angelo", "Eriksson", "Fernández", "Grønbech", "Hughes",
    "Ivanov", "Johnson", "Kowalski", "Lefèvre", "Müller", "Núñez", "O&#39;Brien", "Papadopoulos",
    "Quinn", "Rossi", "Smith-Jones", "Tanaka", "Ueda", "van der Berg", "Wójcik", "Yılmaz", "Żak",
)  # fmt: skip
# Intercom escapes HTML in names, and people put anything into them.
ODD_NAMES = (
    "Phone &amp; SMS", "  leading and trailing  ", "Robert&#39;); DROP TABLE contacts;--", "null",
    "🦄 Unicorn 👩‍👩‍👧‍👦", "tab\there", "line\nbreak", "back\\slash \\N \\.", "\"quoted\", comma",
    "a" * 255, "‮right to left", "zero\u200bwidth", "é (combining e\u0301)", "0", "NaN", "",
)  # fmt: skip
DOMAINS = (
    "example.com", "example.org", "acme.example", "mail.example.net", "bücher.example",
    "very-long-sub.domain.of.some.company.example",
)  # fmt: skip
WORDS = (
    "invoice", "refund", "login", "password", "export", "dashboard", "shipping", "error", "account",
    "thanks", "help", "support", "need", "order", "cancel", "upgrade", "plan", "seat", "billing",
    "naïve", "façade", "Zürich", "東京", "größe", "€42.50", "100%", "C:\\temp\\new", "<none>",
    "it&#39;s", "R&amp;D", "🎉", "😀😀", "¿qué?", "\\t", "line\nbreak", "tab\tstop", "'single'",
)  # fmt: skip
COMPANY_WORDS = (
    "Acme", "Globex", "Initech", "Umbrella", "Hooli", "Stark", "Wayne", "Müller &amp; Söhne",
    "Café", "株式会社", "Data", "Cloud", "Green", "North", "Blue", "Rocket 🚀",
)  # fmt: skip
CITIES = (
    ("Dublin", "Leinster", "Ireland", "IRL", "EU"),
    ("New York", "New York", "United States", "USA", "NA"),
    ("São Paulo", "São Paulo", "Brazil", "BRA", "SA"),
    ("Tōkyō", "Tokyo", "Japan", "JPN", "AS"),
    ("Kraków", "Małopolska", "Poland", "POL", "EU"),
    ("Sydney", "New South Wales", "Australia", "AUS", "OC"),
    ("Reykjavík", None, "Iceland", "ISL", "EU"),
)


def full_name(random: Random) -> str:
    """A person's name; one in sixty is something else."""
    if random.random() < 1 / 60:
        return random.choice(ODD_NAMES)
    return f"{random.choice(FIRST)} {random.choice(LAST)}"


def words(random: Random, count: int) -> str:
    """Some words in a row."""
    return " ".join(random.choices(WORDS, k=count))


def html_body(random: Random) -> str:
    """A message body: paragraphs, now and then a link, a list or an inline image."""
    body = f"<p>{words(random, random.randint(2, 24))}</p>"
    draw = random.random()
    if draw < 0.04:
        body += f'<p><a href="https://example.com/?a=1&amp;b=2">{words(random, 2)}</a></p>'
    elif draw < 0.08:
        body += f'\n<div class="intercom-container"><img src="{image_url(random)}"></div>'
    elif draw < 0.10:
        body += "<ul>\n" + "".join(f"<li>{w}</li>" for w in random.choices(WORDS, k=3)) + "</ul>"
    elif draw < 0.11:
        body += f"<p>{words(random, 400)}</p>"
    return body


def image_url(random: Random) -> str:
    """An address of an inline image, to be signed inside HTML."""
    return f"https://downloads.intercomcdn.com/i/o/{random.randrange(10**9)}/image.png{HTML_MARK}"


def file_url(random: Random, name: str) -> str:
    """An address of a file, to be signed."""
    return f"https://downloads.intercomcdn.com/i/o/{random.randrange(10**9)}/{name}{MARK}"


def avatar_url(random: Random) -> str:
    """An address of a picture of a person, to be signed."""
    return f"https://static.intercomassets.com/avatars/{random.randrange(10**7)}/square_128{MARK}"


def attachment(random: Random) -> dict[str, object]:
    """A file as parts and sources list it; only images have sizes."""
    image = random.random() < 0.5
    name = "Скан №1.png" if image else "report (final).pdf"
    return {
        "type": "upload",
        "name": name,
        "url": file_url(random, "scan.png" if image else "report.pdf"),
        "content_type": "image/png" if image else "application/pdf",
        "filesize": random.randint(100, 25_000_000),
        "width": random.randint(10, 4000) if image else None,
        "height": random.randint(10, 4000) if image else None,
    }
