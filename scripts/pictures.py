"""Pictures of a report: pictures.py PAGE FOLDER. The first screen and some headline charts, as PNG."""

import base64
import json
import pathlib
import sys

import webdriver

WHOLE, NARROW, HEIGHT = 1600, 1100, 1400
SMALL = 0.6  # of the first screen
CHARTS = ("convergence", "learning-rate", "batch-size", "train-or-eval")

# Scrolls on until every chart was drawn.
DRAW = """
const root = document.documentElement;
window.scrollBy({top: innerHeight / 2, behavior: 'instant'});
if (scrollY + innerHeight >= root.scrollHeight - 2) window.scrollTo({top: 0, behavior: 'instant'});
return root.dataset.drawn === root.dataset.charts;
"""

# Where an element is, in the page.
PLACE = """
const box = document.querySelector(arguments[0])?.getBoundingClientRect();
return box && {x: box.left + scrollX, y: box.top + scrollY, width: box.width, height: box.height};
"""


def experiments(page):
    """Names in the order of the page, from the lines that it holds."""
    names = []
    for line in pathlib.Path(page).read_text().splitlines():
        if '{"kind":"experiment"' in line:
            names.append(json.loads(line[line.index("{"):])["name"])
    return names


def main(page, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    browser = webdriver.Browser()

    def take(selector, name, scale=1):
        clip = browser.run(PLACE, selector)
        if clip is None:
            print(f"{name}: not in this report")
            return
        shot = browser.cdp("Page.captureScreenshot", format="png", captureBeyondViewport=True,
                           clip={**clip, "scale": scale})
        path = folder / f"{name}.png"
        path.write_bytes(base64.b64decode(shot["data"]))
        print(f"{path}: {path.stat().st_size // 1024} KiB")

    try:
        browser.show(page, WHOLE, HEIGHT)
        browser.wait(DRAW, seconds=120)
        take("#verdicts", "lab", SMALL)
        browser.show(page, NARROW, HEIGHT)
        browser.wait(DRAW, seconds=120)
        for name in CHARTS:
            if name in experiments(page):
                index = experiments(page).index(name)
                take(f'[data-experiment="{index}"] .charts > :first-child', name)
    finally:
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
