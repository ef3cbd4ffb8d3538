"""What of a text is no content: told apart in Python and in SQL, and never lost on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.errors import SettingsError
from connector.settings import load
from connector.warehouse.merge.loader import Loader
from connector.warehouse.sql.dsn import conninfo
from connector.warehouse.values.signatures import INTERCOM, KEPT, Signatures

FILE = "https://downloads.intercomcdn.com/i/o/1/a.png"
QUERIES = [
    "expires=1&signature=ab%2F",
    "expires=1&amp;signature=ab&amp;req=x%3D%3D",
    "req=abc",
    "SIGNATURE=a&Expires=2",
    "X-Amz-Date=1&X-Amz-SignedHeaders=a;b&X-Amz-Signature=3",
    "Expires=1&Signature=x~-_&Key-Pair-Id=K",
    "path=/a/b",
    r"expires=1\u0026signature=2\u003d",
    "signature&#x3D;2",
]
AROUND = [
    "{}",
    '<img src="{}"> b',
    "<a href='{}'>x</a>",
    "<img src={}>",
    "see ({}), or not",
    "Look at {}. Next, {}! Or {}?",
    "[one]({})[two]({}) and `{}`",
    "&quot;{}&quot; &lt;{}&gt; &#39;{}&#39; &amp;quot;{}&amp;quot;",
    "{},{}",
    "{}\n{}\t{}",
    "file:{} file={}",
    r"\n{}\r\n{}\u000b{}",
    r"{{\"url\":\"{}\",\"next\":\"{}\"}}",
    r"\u003cimg src=\u0022{}\u0022\u003e",
    "https://shop.example/?token=5 {} https://shop.example/?token=6",
    "\u4ee5{}\u3002\u8c22\u8c22",
]
HOSTS = [
    "downloads.intercomcdn.com",
    "downloads.intercomcdn.eu",
    "downloads.au.intercomcdn.com",
    "DOWNLOADS.IntercomCDN.COM",
    "downloads.intercomcdn.com:443",
    "static.intercomassets.com",
    "static.au.intercomassets.eu",
    "acme.intercom-attachments-7.com",
    "intercom-attachments-12.com",
    "acme.eu.intercom-attachments-3.eu",
]
OTHERS = [
    "https://shop.example.com/index.php?route=order&token=55&id=7",
    "https://shop.example.com/a.png?expires=1&signature=2",
    "https://bucket.s3.amazonaws.com/a.png?X-Amz-Signature=2",
    "https://intercomcdn.com.evil.example/a?x=1",
    "https://notintercomcdn.com/a?x=1",
    "https://intercomcdn.example/a?x=1",
    "https://downloads.intercomcdn.com@evil.example/a?x=1",
    "https://downloads.intercomcdn.com:1@evil.example/a?x=1",
    "https://shop.example/downloads.intercomcdn.com/a?x=1",
    "https://shop.example/r?to=https://downloads.intercomcdn.com/a?x=1&id=7",
    "https://shop.example/r?to=//downloads.intercomcdn.com/a?x=1&id=7",
    "https://shop.example/r?src=https://downloads.intercomcdn.com/a?x=1&id=7",
    "https://shop.example/proxy/https://downloads.intercomcdn.com/a?x=1&id=7",
    r"https:\/\/shop.example\/r?to=https:\/\/downloads.intercomcdn.com\/a?x=1&id=7",
    r"https://shop.example/r?to\u003dhttps://downloads.intercomcdn.com/a?x=1&id=7",
    "https://shop.example/#/r?to=https://downloads.intercomcdn.com/a?x=1&id=7",
    "https://app.intercom.com/a?x=1",
    f"Is it {FILE}? Yes",
    f"Is it {FILE}?",
    f"{FILE},https://shop.example/?token=55",
    f"[a]({FILE})[b](https://shop.example/?token=55)",
    f"[a]({FILE})[b](//shop.example/?token=55)",
    f"({FILE})?token=5",
    "what?expires=1&signature=2 // downloads.intercomcdn.com/a?x=1",
]


@pytest.fixture(scope="module")
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(conninfo(database_url)) as connection:
        yield connection


def in_sql(connection: psycopg.Connection[Any], text: str, signatures: Signatures) -> str:
    """What PostgreSQL leaves of the text."""
    query = "SELECT regexp_replace(%s, %s, %s, 'gi')"
    [[left]] = connection.execute(query, [text, signatures.expression, KEPT])
    return str(left)


# -- which queries are no content ------------------------------------------------------------


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("query", QUERIES)
def test_the_query_of_an_address_of_intercoms_files_is_no_content(connection, around, query):
    text, left = around.replace("{}", f"{FILE}?{query}"), around.replace("{}", FILE)
    assert INTERCOM.unsigned(text) == left
    assert in_sql(connection, text, INTERCOM) == left


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("scheme", ["https:", "HTTP:", ""])
@pytest.mark.parametrize("path", ["/a.png", "", "/i/\u00fc (1).png".replace(" ", "")])
def test_all_of_intercoms_file_hosts_are_known(connection, host, scheme, path):
    for slashes in ("/", "\\/", "\\\\/"):
        address = f"{scheme}//{host}{path}".replace("/", slashes)
        text = f'"{address}?expires=1&signature=2", "b"'
        assert INTERCOM.unsigned(text) == text.replace("?expires=1&signature=2", "")
        assert in_sql(connection, text, INTERCOM) == INTERCOM.unsigned(text)


@pytest.mark.parametrize("text", OTHERS)
def test_everybody_elses_links_count_with_every_character(connection, text):
    assert INTERCOM.unsigned(text) == text
    assert in_sql(connection, text, INTERCOM) == text


def test_a_setting_adds_hosts_and_all_below_them(connection):
    signatures = Signatures(["files.example.com"])
    for host in ("files.example.com", "eu.files.example.com", "downloads.intercomcdn.com"):
        text = f"https://{host}/a?x=1"
        assert signatures.unsigned(text) == text[:-4]
        assert in_sql(connection, text, signatures) == text[:-4]
    for host in ("example.com", "filesXexample.com", "otherfiles.example.com"):
        assert signatures.unsigned(f"https://{host}/a?x=1") == f"https://{host}/a?x=1"


def test_the_setting_takes_names_of_hosts_and_nothing_else(tmp_path):
    def hosts(text: str) -> tuple[str, ...]:
        return load({"CONNECTOR_FILE_HOSTS": text}, tmp_path).file_hosts

    assert hosts("") == ()
    assert hosts("Files.Example.com, *.cdn.example.org\nfiles.example.com") == (
        "files.example.com",
        "cdn.example.org",
    )
    for wrong in ("https://a.example", "a.example/b", "a.example:1", "*", "com", "a..b", "a.(b|c)"):
        with pytest.raises(SettingsError, match="CONNECTOR_FILE_HOSTS"):
            hosts(wrong)


PIECES = st.sampled_from(
    [
        *("https://", "//", r"\/\/", "http:", "downloads.intercomcdn.com", "shop.example", "/"),
        *("?", "a=1", "&", "&amp;", "&quot;", r"\u0026", r"\u0022", r"\"", "\\", "\\\\", "#"),
        *(",", ".", ")", "(", "]", " ", "\n", '"', "'", "<", ">", "\u00fc", ":", ";", "%2F", "x"),
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join))
def test_python_and_postgres_agree_on_any_text(connection, text):
    assert in_sql(connection, text, INTERCOM) == INTERCOM.unsigned(text)
    assert in_sql(connection, f"https://downloads.intercomcdn.com{text}", INTERCOM) == (
        INTERCOM.unsigned(f"https://downloads.intercomcdn.com{text}")
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(PIECES, max_size=8).map("".join), max_size=3))
def test_json_text_stays_json(texts):
    value = {f"//intercomcdn.com/{text}": [f"//intercomcdn.com{text}"] for text in texts}
    json.loads(INTERCOM.unsigned(json.dumps(value, ensure_ascii=False)))
    json.loads(INTERCOM.unsigned(json.dumps(value).replace("/", "\\/")))


def test_no_text_takes_long(connection):
    for text in (
        "//" * 20_000,
        "https://downloads.intercomcdn.com/" + "a/" * 10_000,
        "https://downloads.intercomcdn.com/a?" + "&amp;." * 10_000,
        "https://shop.example/" + "&amp" * 10_000 + ' "',
        "https://" + "a." * 10_000 + "?x",
        "\\" * 20_000 + "u0026",
    ):
        assert len(INTERCOM.unsigned(text)) <= len(text)
        assert in_sql(connection, text, INTERCOM) == INTERCOM.unsigned(text)


# -- what is stored, and what is a change ----------------------------------------------------


def talk(file: str, link: str = "https://shop.example/?token=1", **more: Any) -> dict[str, Any]:
    """A conversation with an address in every place that can hold one."""
    part = {
        "id": "p",
        "body": f'<a href="{link}">x</a> <img src="{file.replace("&", "&amp;")}">',
        "metadata": {"f": file, "l": link},
        "event_details": {"f": file, "l": link},
        "attachments": [{"name": "a.png", "url": file}],
        "new_key": [file, link],
    }
    return {
        "id": "1",
        "updated_at": 1,
        "source": {
            "body": f"![]({file}) {link}",
            "attachments": [{"type": "upload", "url": file}],
            "url": link,
        },
        "custom_attributes": {"photo": file, "spoilt": file + "\0", "home": link},
        "unheard_of": {"deep": [file, link]},
        "conversation_parts": {"conversation_parts": [part]},
    } | more


def test_links_are_stored_as_sent_wherever_they_stand(warehouse):
    file, link = f"{FILE}?expires=1&signature=2", "https://shop.example/?a=b&token=55&sig=1&exp=2"
    warehouse.write("conversations", talk(file, link))
    row, part = warehouse.one("conversations", "1"), warehouse.one("conversation_parts", "p")
    assert (row["source_body"], row["source_url"]) == (f"![]({file}) {link}", link)
    assert row["source_attachments"] == [{"type": "upload", "url": file}]
    assert row["custom_attributes"] == {"photo": file, "spoilt": file, "home": link}
    assert row["extra"]["unheard_of"] == {"deep": [file, link]}
    assert row["extra"]["custom_attributes"] == {"spoilt": file + "\\u0000"}
    assert part["metadata"] == part["event_details"] == {"f": file, "l": link}
    assert part["extra"] == {"new_key": [file, link]}
    assert file.replace("&", "&amp;") in part["body"]
    [attachment] = warehouse.query("SELECT url FROM conversation_part_attachments")
    assert attachment["url"] == file


def test_another_signature_writes_nothing_until_something_else_changes(warehouse):
    warehouse.write("conversations", talk(f"{FILE}?expires=1&signature=one"))
    before, content = warehouse.versions(), warehouse.content()
    warehouse.write("conversations", talk(f"{FILE}?expires=2&signature=two"), read=1)
    assert warehouse.versions() == before
    assert warehouse.content() == content
    changed = talk(f"{FILE}?expires=3&signature=three", title="changed")
    warehouse.write("conversations", changed, read=2)
    assert warehouse.one("conversations", "1")["source_body"].count("signature=three") == 1
    assert "signature=one" in warehouse.one("conversation_parts", "p")["body"]


@pytest.mark.parametrize(
    "change",
    [
        {"link": "https://shop.example/?token=2"},
        {"file": "https://files.example.com/a.png?expires=2", "was": "1"},
    ],
)
def test_a_change_of_anybody_elses_link_is_a_change(warehouse, change):
    file = "https://files.example.com/a.png?expires=1" if "was" in change else f"{FILE}?x=1"
    warehouse.write("conversations", talk(file))
    again = talk(change.get("file", file), change.get("link", "https://shop.example/?token=1"))
    written = warehouse.write("conversations", again, read=1)
    assert written.updated == 1
    new = change.get("link") or change["file"]
    row, part = warehouse.one("conversations", "1"), warehouse.one("conversation_parts", "p")
    assert new in row["source_body"]
    assert new in part["body"]
    assert new in json.dumps([row["custom_attributes"], row["extra"], part["metadata"]])


@pytest.mark.parametrize("column", ["body", "metadata", "event_details", "new_key"])
def test_one_changed_link_in_one_place_is_seen(warehouse, column):
    warehouse.write("conversations", talk(FILE, "https://shop.example/?token=1&id=1"))
    record = talk(FILE, "https://shop.example/?token=1&id=1")
    part = record["conversation_parts"]["conversation_parts"][0]
    part[column] = json.loads(json.dumps(part[column]).replace("id=1", "id=2"))
    before = warehouse.versions()
    warehouse.write("conversations", record, read=1)
    assert warehouse.versions()["conversation_parts"] != before["conversation_parts"]
    assert "id=2" in str(warehouse.one("conversation_parts", "p"))


def test_attachments_and_avatars_of_any_host_are_compared_without_their_query(warehouse):
    def write(signature: str, read: float) -> int:
        file = f"https://files.example.com/a.png?token={signature}"
        record = {"id": "1", "updated_at": 1, "source": {"attachments": [{"url": file, "n": "?"}]}}
        part = {"id": "p", "attachments": [{"url": file}]}
        people = {"id": "1", "updated_at": 1, "avatar": {"image_url": file}}
        parts = {"ticket_parts": [{"id": "t", "attachments": [{"url": file, "name": "a?b"}]}]}
        written = [
            warehouse.write(
                "conversations",
                record | {"conversation_parts": {"conversation_parts": [part]}},
                read=read,
            ),
            warehouse.write("contacts", people, read=read),
            warehouse.write(
                "tickets", {"id": "1", "updated_at": 1, "ticket_parts": parts}, read=read
            ),
        ]
        return sum(one.inserted + one.updated for one in written)

    assert write("1", 0) == 3
    before = warehouse.versions()
    assert write("2", 1) == 0
    assert warehouse.versions() == before
    assert "token=1" in warehouse.one("contacts", "1")["avatar_image_url"]


def test_another_path_of_an_attachment_is_a_change(warehouse):
    def ticket(url: str) -> dict[str, Any]:
        part = {"id": "t", "attachments": [{"url": url, "name": "n"}]}
        return {"id": "1", "updated_at": 1, "ticket_parts": {"ticket_parts": [part]}}

    warehouse.write("tickets", ticket("https://files.example.com/a.png?x=1"))
    warehouse.write("tickets", ticket("https://files.example.com/b.png?x=1"), read=1)
    [stored] = warehouse.one("ticket_parts", "t")["attachments"]
    assert stored["url"] == "https://files.example.com/b.png?x=1"


def test_the_hosts_of_the_setting_are_compared_like_intercoms_own(warehouse):
    def contact(signature: str) -> dict[str, Any]:
        file = f"https://eu.files.example.com/a.png?s={signature}"
        return {"id": "1", "updated_at": 1, "name": file, "custom_attributes": {"a": file}}

    warehouse.write("contacts", contact("1"))
    assert warehouse.write("contacts", contact("2"), read=1).updated == 1
    warehouse.loader = Loader(warehouse.schema, signatures=Signatures(["files.example.com"]))
    try:
        assert warehouse.write("contacts", contact("3"), read=2).updated == 0
    finally:
        warehouse.loader = Loader(warehouse.schema)


def test_links_that_an_older_version_cut_come_back_and_its_files_are_left(warehouse):
    cut = re.sub(r"\?[^\"'<>\\ )]*", "", json.dumps(talk(f"{FILE}?s=1")))
    warehouse.write("conversations", json.loads(cut))
    written = warehouse.write("conversations", talk(f"{FILE}?s=2"), read=1)
    assert written.updated == 1
    assert warehouse.one("conversations", "1")["source_url"] == "https://shop.example/?token=1"
    only_files = {"id": "1", "updated_at": 1, "custom_attributes": {"photo": FILE}}
    warehouse.write("contacts", only_files)
    before = warehouse.versions()
    only_files["custom_attributes"] = {"photo": f"{FILE}?expires=1"}
    warehouse.write("contacts", only_files, read=1)
    assert warehouse.versions() == before
