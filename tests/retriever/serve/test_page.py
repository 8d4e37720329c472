"""The page in a real browser."""

import json
import re
import shutil

import pytest

from retriever.serve.page_files import PAGE_FILES
from retriever.serve.tokens import make_token
from tests.factories import CORPUS
from tests.retriever.serve.conftest import READ

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")

HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        launched = running.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def visit(browser):
    """Open the page; every error of its scripts and every request elsewhere fails the test."""
    contexts, troubles = [], []

    def go(address, path="/", **options):
        context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: troubles.append(str(error)))

        def watch(request):
            if not request.url.startswith((address, "data:", "about:")):
                troubles.append(f"outside request: {request.url}")

        page.on("request", watch)
        page.goto(address + path)
        return page

    yield go
    for context in contexts:
        context.close()
    assert not troubles


def ask(page, query):
    page.wait_for_selector("#collection option", state="attached")
    with page.expect_response("**/v1/search") as answered:
        page.fill("#query", query)
        page.keyboard.press("Enter")
    page.wait_for_selector("#stages:not(.stale)", state="attached")
    return answered.value.json()


def names(page, selector):
    return page.locator(f"{selector} .card .name").all_inner_texts()


def drag(page, slider, value):
    with page.expect_response("**/v1/search") as answered:
        page.locator(slider).evaluate(
            "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', { bubbles: true })); }", value
        )
    page.wait_for_selector("#stages:not(.stale)", state="attached")
    return json.loads(answered.value.request.post_data), answered.value.json()


@needs_browser
def test_both_stages_are_shown_with_ranks_scores_words_times_and_lines(live, visit):
    page = visit(live())
    answer = ask(page, "a dog ran on mats")
    results = answer["results"]
    titles = [result["title"] or result["id"] for result in results]
    assert names(page, "#final") == titles
    by_first = sorted(results, key=lambda result: result["stages"]["fused"]["rank"])
    assert names(page, "#first") == [result["title"] or result["id"] for result in by_first]
    card = page.locator("#final .card").first
    assert f"{results[0]['score']:.2f}" in card.inner_text()
    assert card.locator("mark").all_inner_texts() == ["dog", "ran", "mat"]
    first = page.locator("#first .card").first.inner_text()
    assert f"cosine {by_first[0]['stages']['dense']['score']:.2f}".replace("-", "−") in first
    assert "BM25" in first
    assert page.locator("#lines path").count() == len(results)
    assert re.search(r"first stage [\d.]+ ms at 16 dimensions", page.inner_text("#times"))
    assert re.search(r"reranker [\d.]+ ms for 5 candidates", page.inner_text("#times"))


@needs_browser
def test_the_sliders_ask_again_at_once(live, visit):
    page = visit(live())
    ask(page, "a dog ran")
    asked, answer = drag(page, "#depth", 0)
    assert asked["rerank"] is False
    assert answer["timings"]["reranked"] == 0
    assert "no reranker" in page.inner_text("#times")
    asked, answer = drag(page, "#dimensions", 0)
    assert asked["dimensions"] == answer["dimensions"] == 8
    page.locator("#times", has_text="at 8 dimensions").wait_for()
    assert "the leading 8 of 16" in page.inner_text("#dimensions-note")
    asked, _ = drag(page, "#depth", 5)
    assert asked["depth"] == 5


@needs_browser
def test_filters_narrow_and_the_address_keeps_them(live, visit):
    address = live()
    page = visit(address)
    ask(page, "the mat")
    page.click("#add-filter")
    page.select_option(".filter select >> nth=0", "year")
    page.select_option(".filter select >> nth=1", "gte")
    with page.expect_response(lambda response: "2020" in (response.request.post_data or "")) as answered:
        page.fill(".filter input", "2020")
    assert json.loads(answered.value.request.post_data)["filter"] == {"year": {"gte": 2020}}
    page.locator("#final .card").nth(2).wait_for(state="detached")
    again = visit(address, page.url.removeprefix(address))
    again.wait_for_selector("#final .card")
    assert sorted(names(again, "#final")) == ["Money", "Pets"]
    with page.expect_response("**/v1/search"):
        page.fill(".filter input", "2050")
    page.locator("#status", has_text="Nothing found that passes the filters.").wait_for()
    assert page.locator("#stages").is_hidden()


@needs_browser
def test_the_document_opens_with_its_best_passage_marked_and_keys_do_it_all(live, visit, make):
    long = {
        "id": "long",
        "title": "Long",
        "text": "🦓 one two three. " * 30 + "The zebra flew. " + "four five. " * 60,
    }
    page = visit(live(retriever=make([*CORPUS, long], passage_tokens=40)))
    ask(page, "zebra flew over")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") != "query"
    page.keyboard.press("j")
    name = page.locator(".card:focus .name").inner_text()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.parentElement.id") == "first"
    assert page.locator(".card:focus .name").inner_text() == name
    assert page.locator("#lines path.traced").count() == 1
    page.locator("#final .card", has_text="Long").focus()
    page.keyboard.press("Enter")
    best = page.locator("#document .best")
    best.wait_for()
    assert "zebra flew" in best.inner_text()
    assert best.inner_text() in long["text"]
    assert page.locator("#document .best mark").all_inner_texts() == ["zebra", "flew"]
    assert page.inner_text("#document pre") == long["text"]
    page.keyboard.press("k")
    page.keyboard.press("Escape")
    assert page.locator("#document").is_hidden()
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "query"


@needs_browser
def test_hostile_documents_are_shown_and_never_run(live, visit, make):
    hostile = {"id": HOSTILE, "title": HOSTILE, "text": f"zebra {HOSTILE}", "metadata": {HOSTILE: HOSTILE}}
    page = visit(live(retriever=make([hostile])))
    ask(page, f"zebra {HOSTILE}")
    assert HOSTILE in page.inner_text("#final .card .name")
    page.locator("#final .card").click()
    page.wait_for_selector("#document pre")
    assert HOSTILE in page.inner_text("#document")
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img, dialog img, main script").count() == 0


@needs_browser
def test_a_token_is_asked_for_and_a_wrong_one_again(live, visit):
    page = visit(live(tokens=(make_token("read", READ),)))
    page.wait_for_selector("#token-view[open]")
    page.fill("#token", "wrong-token-of-the-tests")
    page.keyboard.press("Enter")
    page.locator("#token-problem", has_text="unknown token").wait_for()
    page.fill("#token", READ)
    page.keyboard.press("Enter")
    assert ask(page, "zebra")["results"]


@needs_browser
def test_errors_are_said(live, visit):
    page = visit(live())
    ask(page, "zebra")
    with page.expect_response("**/v1/search"):
        page.fill("#query", "x" * 10_000)
        page.keyboard.press("Enter")
    live.stop()
    page.wait_for_timeout(1500)
    page.fill("#query", "cat")
    page.keyboard.press("Enter")
    page.wait_for_selector("#status.wrong")
    assert "does not answer" in page.inner_text("#status")
    assert page.locator("#stages").is_hidden()


@needs_browser
def test_the_report_opens_in_the_page_and_runs_nothing(live, visit, tmp_path):
    report = tmp_path / "report.html"
    report.write_text(
        "<style>h1{color:rgb(1,2,3)}</style><h1>Which setting</h1><script>parent.hacked=1</script>"
    )
    page = visit(live(report=report))
    page.click("#report")
    heading = page.frame_locator("#report-frame").locator("h1")
    assert heading.inner_text() == "Which setting"
    assert heading.evaluate("e => getComputedStyle(e).color") == "rgb(1, 2, 3)"
    assert page.evaluate("window.hacked") is None


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_are_readable_and_can_be_chosen(live, visit, scheme):
    page = visit(live(), color_scheme=scheme)
    ask(page, "zebra")

    def contrast():
        return page.evaluate(
            """() => {
              const light = (colour) => {
                const [r, g, b] = colour.match(/[\\d.]+/g).map(Number)
                  .map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
              };
              const card = getComputedStyle(document.querySelector('.card')).backgroundColor;
              return ['.card .name', '.card .scores', '.card .move', '.card mark'].map((selector) => {
                const style = getComputedStyle(document.querySelector(selector));
                const ground = selector.endsWith('mark') ? style.backgroundColor : card;
                const [a, b] = [light(style.color), light(ground)].sort((x, y) => y - x);
                return (a + 0.05) / (b + 0.05);
              });
            }"""
        )

    assert min(contrast()) >= 4.5  # WCAG AA
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("Escape")
    while page.inner_text("#theme") != f"theme: {'dark' if scheme == 'light' else 'light'}":
        page.keyboard.press("t")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != ground
    assert min(contrast()) >= 4.5


def test_the_page_s_files_ask_for_nothing_outside_and_parse_no_html(serve):
    client = serve()
    for path in PAGE_FILES:
        answer = client.get(path)
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe-eval" not in answer.headers["content-security-policy"]
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", answer.text)
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", answer.text)
