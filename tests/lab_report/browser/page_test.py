"""The page in a browser: page_test.py MAKE_PAGE EVENKEEL

MAKE_PAGE LINES PAGE writes a page of a file of JSON lines; EVENKEEL is the command. Exit code 77, for
ctest a test that was skipped, where there is no Chromium.
"""

import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import fixture
import webdriver

WIDTHS = {"phone": (360, 760), "desk": (1440, 900)}
ENTER, ESCAPE, LEFT, RIGHT, TAB = "\ue007", "\ue00c", "\ue012", "\ue014", "\ue004"

# Scrolls through the page as a reader does, until every chart was drawn.
SCROLL = """
const root = document.documentElement;
const step = window.innerHeight / 2;
if (root.dataset.drawn !== root.dataset.charts) {
  window.scrollBy({top: step, behavior: 'instant'});
  if (window.scrollY + window.innerHeight >= root.scrollHeight - 2) window.scrollTo({top: 0, behavior: 'instant'});
}
return Number(root.dataset.charts) > 0 && root.dataset.drawn === root.dataset.charts;
"""

# Canvases that show one colour alone.
BLANK = """
return [...document.querySelectorAll('canvas')].filter(canvas => {
  const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const words = new Uint32Array(data.buffer);
  return words.every(word => word === words[0]);
}).map(canvas => canvas.getAttribute('aria-label'));
"""

# Elements that lie outside of the window, other than inside a frame that scrolls.
OUTSIDE = """
return [...document.querySelectorAll('body *')].filter(node => {
  const box = node.getBoundingClientRect();
  return box.width > 0 && box.right > innerWidth + 1 && !node.closest('.frame, pre, .unseen');
}).map(node => node.outerHTML.slice(0, 80)).slice(0, 5);
"""

# Text whose contrast with what lies behind it is below what WCAG's level AA asks for.
CONTRAST = """
const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const parse = text => text.match(/[\\d.]+/g).map(Number);
const behind = node => {
  for (let at = node; at; at = at.parentElement) {
    const color = parse(getComputedStyle(at).backgroundColor);
    if (color.length === 3 || color[3] > 0.99) return color;
  }
  return [255, 255, 255];
};
const poor = new Set();
for (const node of document.querySelectorAll('body *')) {
  const own = [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim() !== '');
  if (!own || node.closest('script, noscript, [hidden], .unseen, button:disabled')) continue;
  const [a, b] = [light(parse(getComputedStyle(node).color)), light(behind(node))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) poor.add(`${ratio.toFixed(2)} ${node.tagName}.${node.className} ${node.textContent.slice(0, 30)}`);
}
return [...poor].slice(0, 10);
"""


def lab_page(folder, make_page):
    lines, page = pathlib.Path(folder) / "lab.jsonl", pathlib.Path(folder) / "lab.html"
    subprocess.run([sys.executable, fixture.__file__, "lab", lines], check=True)
    subprocess.run([make_page, lines, page], check=True)
    return lines, page


def runs_page(folder, command):
    page = pathlib.Path(folder) / "runs.html"
    fixture.write_runs(folder)
    subprocess.run([command, "report", "with", "without", "-o", page.name], cwd=folder, check=True,
                   stdout=subprocess.DEVNULL)
    return page


class PageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="evenkeel-page-")
        cls.folder = cls.temporary.name
        cls.lines, cls.lab = lab_page(cls.folder, MAKE_PAGE)
        cls.runs = runs_page(cls.folder, EVENKEEL)
        cls.browser = webdriver.Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.temporary.cleanup()

    def show(self, page=None, size="desk", **how):
        self.browser.show(page or self.lab, *WIDTHS[size], **how)
        self.browser.wait("return document.documentElement.dataset.charts !== undefined")

    def run_js(self, script, *arguments):
        return self.browser.run(script, *arguments)

    def bring(self, selector):
        """Scrolls there and waits for the chart, if it is one."""
        self.run_js("document.querySelector(arguments[0]).scrollIntoView({block: 'center', behavior: 'instant'})", selector)
        self.browser.wait(f"const c = document.querySelector('{selector} canvas'); return !c || Chart_of(c) !== undefined"
                          .replace("Chart_of(c)", "Chart.getChart(c)"))

    def shown(self):
        return self.run_js("return [...document.querySelectorAll('.card')].filter(c => !c.hidden)"
                           ".map(c => c.querySelector('.badge').textContent)")

    # Drawing.

    def test_every_chart_is_drawn_without_a_message_or_a_request(self):
        for page in (self.lab, self.runs):
            for size in WIDTHS:
                for dark in (False, True):
                    with self.subTest(page=page.name, size=size, dark=dark):
                        self.show(page, size, dark=dark, reduced=True)
                        self.browser.wait(SCROLL, 60)
                        self.assertEqual(self.run_js(BLANK), [])
                        self.assertEqual(self.run_js(OUTSIDE), [])
                        self.assertLessEqual(self.run_js("return document.documentElement.scrollWidth"),
                                             WIDTHS[size][0])
                        self.assertEqual(self.run_js(CONTRAST), [])
                        self.assertEqual(self.browser.log("browser"), [])
                        requests = {event["params"]["request"]["url"] for event in self.browser.events()
                                    if event["method"] == "Network.requestWillBeSent"}
                        self.assertEqual({url for url in requests if not url.startswith("data:")},
                                         {page.resolve().as_uri()})

    def test_there_are_as_many_charts_as_lines_and_one_picture_each(self):
        self.show()
        lines = [json.loads(line) for line in self.lines.read_text(encoding="utf-8").splitlines()]
        kinds = collections.Counter(line["kind"] for line in lines)
        self.assertEqual(self.run_js("return document.querySelectorAll('figure.chart').length"), kinds["chart"])
        self.assertEqual(self.run_js("return document.querySelectorAll('.card').length"), kinds["experiment"])
        with_charts = {line["experiment"] for line in lines if line["kind"] == "chart"}
        self.assertEqual(self.run_js("return document.querySelectorAll('.card .plot').length"), len(with_charts))

    def test_the_data_are_those_of_the_lines(self):
        self.show()
        text = self.run_js("return document.getElementById('data').textContent")
        found = [json.loads(line) for line in text.strip().split("\n")]
        self.assertEqual(found, [json.loads(line) for line in self.lines.read_text(encoding="utf-8").splitlines()])

    def test_hostile_texts_stay_texts(self):
        self.show()
        self.assertNotEqual(self.run_js("return document.title"), "broken")
        self.assertEqual(self.run_js("return document.querySelectorAll('img, iframe, main script').length"), 0)
        self.assertIn(fixture.HOSTILE, self.run_js("return document.querySelector('#experiment-13 h2').textContent"))
        self.assertEqual(self.run_js("return [...document.querySelectorAll('a')].filter(a => "
                                     "!/^(https?:|#)/.test(a.getAttribute('href'))).length"), 0)

    def test_nothing_that_is_not_the_pages_own_can_run(self):
        self.show()
        self.run_js("const s = document.createElement('script'); s.textContent = 'window.intruder = 1'; document.body.append(s)")
        self.assertIsNone(self.run_js("return window.intruder ?? null"))
        self.browser.log("browser")  # which says that it was refused

    # Finding.

    def test_verdicts_filter(self):
        self.show()
        everything = self.shown()
        self.assertEqual(set(everything), {"supported", "not supported", "mixed", "undecided", "skipped", "failed", "unfinished"})
        self.run_js("document.querySelector('.chip[data-verdict=\"not supported\"]').click()")
        self.assertEqual(self.shown(), ["not supported"] * everything.count("not supported"))
        self.assertEqual(self.run_js("return [...document.querySelectorAll('article')].filter(a => !a.hidden).length"), 2)
        self.run_js("document.querySelector('.chip[data-verdict=mixed]').click()")
        self.assertEqual(set(self.shown()), {"not supported", "mixed"})
        for verdict in ("mixed", "not supported"):
            self.run_js(f"document.querySelector('.chip[data-verdict=\"{verdict}\"]').click()")
        self.assertEqual(self.shown(), everything)

    def test_search_filters_by_text(self):
        self.show()
        search = "const s = document.getElementById('search'); s.value = arguments[0]; s.dispatchEvent(new Event('input'))"
        self.run_js(search, "DEEP gradients")
        self.assertEqual(self.run_js("return [...document.querySelectorAll('.card')].filter(c => !c.hidden).map(c => "
                                     "c.querySelector('h3').textContent)"), ["Deeper networks train"])
        self.run_js(search, "no such thing")
        self.assertEqual(self.shown(), [])
        self.run_js("[...document.querySelectorAll('.none button')][0].click()")
        self.assertEqual(len(self.shown()), 16)

    # Charts that answer.

    FIGURE = "#experiment-1 figure.chart"
    RANGE = "return document.querySelector('#experiment-1 figure.chart .plot').dataset.range ?? ''"

    def range(self):
        text = self.run_js(self.RANGE)
        return [float(part) for part in text.split()]

    def area(self):
        return self.run_js(f"const canvas = document.querySelector('{self.FIGURE} canvas'); const c = canvas.getBoundingClientRect();"
                           "const {left, right, top, bottom} = Chart.getChart(canvas).chartArea;"
                           "return {left: c.left + left, right: c.left + right, top: c.top + top, bottom: c.top + bottom}")

    def test_dragging_zooms_and_show_all_resets(self):
        self.show()
        self.bring(self.FIGURE)
        area = self.area()
        middle = (area["top"] + area["bottom"]) / 2
        width = area["right"] - area["left"]
        self.browser.drag((area["left"] + width / 4, middle), (area["left"] + width / 2, middle))
        low, high = self.range()
        self.assertAlmostEqual(low, 10 + 410 / 4, delta=6)
        self.assertAlmostEqual(high, 10 + 410 / 2, delta=6)
        scale = self.run_js(f"const {{min, max}} = Chart.getChart(document.querySelector('{self.FIGURE} canvas')).scales.y;"
                            "return [min, max]")
        self.assertGreater(scale[0], 40)  # y follows what is shown
        self.run_js(f"document.querySelector('{self.FIGURE} .reset').click()")
        self.assertEqual(self.range(), [])

    def test_the_wheel_zooms_over_the_axis_and_scrolls_elsewhere(self):
        self.show()
        self.bring(self.FIGURE)
        area = self.area()
        centre = (area["left"] + area["right"]) / 2
        self.browser.wheel((centre, area["bottom"] + 12), -120)
        self.browser.wait(self.RANGE)
        before = self.run_js("return window.scrollY")
        zoomed = self.range()
        self.browser.wheel((centre, (area["top"] + area["bottom"]) / 2), 120)
        self.browser.wait(f"return window.scrollY > {before}")
        self.assertEqual(self.range(), zoomed)

    def test_keys_read_values_and_zoom(self):
        self.show()
        self.bring(self.FIGURE)
        self.run_js(f"document.querySelector('{self.FIGURE} .plot').focus()")
        self.browser.keys(RIGHT, RIGHT)
        said = self.run_js("return document.getElementById('status').textContent")
        self.assertRegex(said, r"^training steps 20; batch norm: [\d.]+\s%")
        self.browser.keys("+", "+")
        low, high = self.range()
        self.assertLess(high - low, 200)
        self.browser.keys("-", "0")
        self.assertEqual(self.range(), [])

    def test_the_legend_hides_series(self):
        self.show()
        self.bring(self.FIGURE)
        visible = (f"return Chart.getChart(document.querySelector('{self.FIGURE} canvas')).data.datasets"
                   ".map((_, i, all) => Chart.getChart(document.querySelector('" + self.FIGURE + " canvas')).isDatasetVisible(i))")
        self.assertEqual(self.run_js(visible), [True, True])
        self.run_js(f"document.querySelector('{self.FIGURE} .legend button').focus()")
        self.browser.keys(ENTER)
        self.assertEqual(self.run_js(visible), [False, True])
        self.assertEqual(self.run_js(f"return document.querySelector('{self.FIGURE} .legend button').getAttribute('aria-pressed')"),
                         "false")

    def test_axes_switch_to_logarithms_where_they_can(self):
        self.show()
        self.bring(self.FIGURE)
        kinds = (f"const {{x, y}} = Chart.getChart(document.querySelector('{self.FIGURE} canvas')).scales; return [x.type, y.type]")
        self.assertEqual(self.run_js(kinds), ["linear", "linear"])
        self.run_js(f"for (const b of document.querySelectorAll('{self.FIGURE} .log')) b.click()")
        self.assertEqual(self.run_js(kinds), ["logarithmic", "logarithmic"])
        zeros = self.run_js("const f = [...document.querySelectorAll('#experiment-5 figure')].find(f => f.textContent.includes('Dead units'));"
                            "return [f.querySelectorAll('.log').length, f.querySelector('.unplaced').textContent]")
        self.assertEqual(zeros, [0, "4 values not above 0 have no place on a logarithmic axis."])

    # Tables and texts.

    def test_values_are_there_as_a_table(self):
        self.show()
        details = f"document.querySelector('{self.FIGURE} details.values')"
        self.run_js(f"{details}.open = true")
        self.browser.wait(f"return {details}.querySelector('tbody tr') !== null")
        self.assertEqual(self.run_js(f"return {details}.querySelectorAll('tbody tr').length"), 42)
        self.assertRegex(self.run_js(f"return {details}.querySelector('tbody td').textContent"), r"^[\d.]+ \([\d.]+ to [\d.]+\)$")

    def test_raw_cells_sort(self):
        self.show()
        self.run_js("document.querySelector('#experiment-1 .raw-cells').open = true")
        self.browser.wait("return document.querySelector('#experiment-1 table.raw') !== null")
        column = ("const t = document.querySelector('#experiment-1 table.raw');"
                  "const i = [...t.querySelectorAll('th')].findIndex(h => h.textContent === arguments[0]);")
        values = column + "return [...t.querySelectorAll('tbody tr')].map(r => r.children[i].textContent)"
        click = column + "t.querySelectorAll('th button')[i].click(); return t.querySelectorAll('th')[i].getAttribute('aria-sort')"
        self.assertEqual(self.run_js(click, "steps to 90 %"), "ascending")
        found = self.run_js(values, "steps to 90 %")
        numbers = [int(v) for v in found if v != "–"]
        self.assertEqual(numbers, sorted(numbers))
        self.assertEqual(found.count("–"), 8)
        self.assertEqual(found[-8:], ["–"] * 8)
        self.assertEqual(self.run_js(click, "steps to 90 %"), "descending")
        again = self.run_js(values, "steps to 90 %")
        self.assertEqual(again[0], str(max(numbers)))
        self.assertEqual(again[-8:], ["–"] * 8)

    def test_checks_show_interval_need_and_outcome(self):
        self.show()
        rows = self.run_js("return [...document.querySelectorAll('#experiment-1 .checks tbody tr')]"
                           ".map(r => [...r.children].map(c => c.textContent))")
        self.assertEqual(rows[0], ["fewer steps to 90 % accuracysteps, without / with (geometric mean)", "yes",
                                   "1.21", "1.14 to 1.28", "from 1.1", "", "5"])
        self.assertEqual([row[1] for row in rows], ["yes", "unclear", "no", "yes"])
        self.assertEqual([row[4] for row in rows], ["from 1.1", "from 0", "up to 0.9091", "0.9524 to 1.05"])
        self.assertEqual(["geometric" in row[0] for row in rows], [True, False, True, True])

    def test_the_picture_of_a_check_has_its_scale(self):
        self.show()
        places = "return [...document.querySelectorAll('#experiment-1 .checks .interval')].map(p => ['.neutral', '.needed']" \
                 ".map(c => [...p.querySelectorAll(c)].map(n => Number(n.getAttribute('d').match(/M([0-9.]+)/)[1]))))"
        pictures = self.run_js(places)
        self.assertEqual([(len(neutral), len(needed)) for neutral, needed in pictures], [(1, 1), (1, 1), (1, 1), (1, 2)])
        self.assertLess(pictures[0][0], pictures[0][1])  # a yes lies above no difference
        self.assertGreater(pictures[2][0], pictures[2][1])  # a no below
        (middle,), (low, high) = pictures[3]
        self.assertAlmostEqual(middle, (low + high) / 2, delta=0.2)  # of a ratio, its logarithm

    def test_structure_for_those_who_do_not_see_it(self):
        for page in (self.lab, self.runs):
            self.show(page)
            self.assertEqual(self.run_js("return ['header', 'nav', 'main', 'footer'].filter(t => !document.querySelector(t))"), [])
            levels = self.run_js("return [...document.querySelectorAll('h1, h2, h3, h4')].map(h => Number(h.tagName[1]))")
            self.assertEqual(levels[0], 1)
            self.assertEqual(levels.count(1), 1)
            for above, below in zip(levels, levels[1:]):
                self.assertLessEqual(below, above + 1)
            nameless = self.run_js(
                "return [...document.querySelectorAll('button, a, input, canvas, [role=region], nav, [role=group]')].filter(n => "
                "!(n.getAttribute('aria-label') || n.getAttribute('aria-labelledby') || n.textContent.trim())).map(n => n.outerHTML)")
            self.assertEqual(nameless, [])
            ids = self.run_js("return [...document.querySelectorAll('[id]')].map(n => n.id)")
            self.assertEqual(len(ids), len(set(ids)))

    def test_focus_is_visible(self):
        self.show()
        self.browser.keys(TAB, TAB)
        style = self.run_js("const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.outlineWidth]")
        self.assertEqual(style, ["solid", "2px"])

    def test_the_theme_switches_and_charts_follow(self):
        self.show()
        self.bring(self.FIGURE)
        pixel = f"return document.querySelector('{self.FIGURE} canvas').toDataURL()"
        light = self.run_js(pixel)
        self.run_js("document.querySelector('.theme').click()")
        self.assertEqual(self.run_js("return document.documentElement.dataset.theme"), "dark")
        self.assertNotEqual(self.run_js(pixel), light)

    def test_the_command_is_copied(self):
        self.show()
        self.browser.cdp("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
        self.run_js("document.querySelector('#experiment-1 .copy').click()")
        self.browser.wait("return document.querySelector('#experiment-1 .copy').textContent === 'Copied'")

    def test_printing_draws_everything_and_gives_a_document(self):
        self.show(dark=True)
        document = self.browser.pdf()
        self.assertTrue(document.startswith(b"%PDF-"))
        self.assertGreater(document.count(b"/Type /Page\n") + document.count(b"/Type /Page "), 5)
        drawn = self.run_js("const {drawn, charts} = document.documentElement.dataset; return [drawn, charts]")
        self.assertEqual(drawn[0], drawn[1])
        self.assertEqual(self.run_js("return document.documentElement.dataset.theme"), "dark")  # as before
        self.assertEqual(self.browser.log("browser"), [])

    def test_runs_have_their_facts_and_sections(self):
        self.show(self.runs)
        titles = self.run_js("return [...document.querySelectorAll('main h2')].map(h => h.textContent)")
        self.assertEqual(titles, ["Runs", "Loss", "Accuracy", "Learning rate", "Running against batch statistics",
                                  "Activations", "Gradients", "γ and β"])
        row = self.run_js("return [...document.querySelectorAll('#runs tbody tr')].map(r => [...r.children].map(c => c.textContent))"
                          ".find(r => r[0] === 'test accuracy')")
        self.assertEqual(row, ["test accuracy", "98.00 %", "95.00 %"])
        self.assertIn(fixture.HOSTILE, self.run_js("return document.getElementById('runs').textContent"))

    def test_a_page_without_lines_says_so(self):
        lines, page = pathlib.Path(self.folder) / "none.jsonl", pathlib.Path(self.folder) / "none.html"
        lines.write_text("")
        subprocess.run([MAKE_PAGE, lines, page], check=True)
        self.show(page)
        self.assertIn("nothing was measured", self.run_js("return document.querySelector('main').textContent"))
        self.assertEqual(self.browser.log("browser"), [])


if __name__ == "__main__":
    missing = webdriver.missing_programs()
    if missing:
        print(f"skipped: {' and '.join(missing)} not found; scripts/setup.sh browser installs them")
        sys.exit(77)
    MAKE_PAGE, EVENKEEL = (os.path.abspath(name) for name in sys.argv[1:3])
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=1)
