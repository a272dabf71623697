// Zooming along x: by dragging, by the wheel over the axis or with Ctrl, by keys and buttons.

const kLeastDrag = 8;   // pixels; less is a click
const kStep = 1.5;

/** Positions on the axis as it is drawn: a logarithmic one is even in powers of ten. */
function axisCoordinates(logarithmic) {
  return logarithmic ? {to: Math.log10, from: u => 10 ** u} : {to: x => x, from: u => u};
}

/** The range `factor` times as wide about `centre`, inside the whole one; null where it is all. */
function scaledRange(range, whole, factor, centre, logarithmic) {
  const {to, from} = axisCoordinates(logarithmic);
  const [a, b, c] = [...range, centre].map(to);
  const scaled = [c - (c - a) * factor, c + (b - c) * factor];
  return keptInside(scaled, whole.map(to))?.map(from) ?? null;
}

/** The range moved so that x is in it. */
function movedRange(range, whole, x, logarithmic) {
  const {to, from} = axisCoordinates(logarithmic);
  const [a, b, at] = [...range, x].map(to);
  if (at >= a && at <= b) return range;
  const shift = at < a ? at - a : at - b;
  return keptInside([a + shift, b + shift], whole.map(to))?.map(from) ?? null;
}

function keptInside([a, b], [first, last]) {
  const width = b - a;
  if (!(width < (last - first) * 0.9999)) return null;
  const start = Math.min(Math.max(a, first), last - width);
  return [start, start + width];
}

class Zoom {
  /** `figure` has chart, view and plot (or null), and hears of changes by changed(). */
  constructor(figure, area, selection) {
    this.figure = figure;
    this.area = area;
    this.selection = selection;
    this.start = null;
    area.addEventListener('pointerdown', event => this.begin(event));
    area.addEventListener('pointermove', event => this.drag(event));
    area.addEventListener('pointerup', event => this.end(event));
    area.addEventListener('pointercancel', () => this.drop());
    area.addEventListener('wheel', event => this.turn(event), {passive: false});
  }

  whole() {
    return fullRange(this.figure.chart, this.figure.view.logX);
  }

  set(range) {
    this.figure.view.range = range;
    this.figure.changed();
  }

  scale(factor, centre = null) {
    const {view} = this.figure;
    const range = view.range ?? this.whole();
    const {to, from} = axisCoordinates(view.logX);
    const middle = from((to(range[0]) + to(range[1])) / 2);
    this.set(scaledRange(range, this.whole(), factor, centre ?? middle, view.logX));
  }

  follow(x) {
    const {view} = this.figure;
    if (view.range === null) return;
    const range = movedRange(view.range, this.whole(), x, view.logX);
    if (range !== view.range) this.set(range);
  }

  reset() {
    this.set(null);
  }

  place(event) {
    const box = this.area.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  begin(event) {
    const {plot} = this.figure;
    if (plot === null || event.button !== 0) return;
    const [x, y] = this.place(event);
    const {left, right, top, bottom} = plot.chartArea;
    if (x < left || x > right || y < top || y > bottom) return;
    this.start = x;
    this.area.setPointerCapture(event.pointerId);
  }

  /** Both ends of what is being selected, in pixels. */
  ends(event) {
    const {left, right} = this.figure.plot.chartArea;
    const x = Math.min(Math.max(this.place(event)[0], left), right);
    return [Math.min(this.start, x), Math.max(this.start, x)];
  }

  drag(event) {
    if (this.start === null) return;
    const [from, to] = this.ends(event);
    const {top, bottom} = this.figure.plot.chartArea;
    this.selection.hidden = to - from < kLeastDrag;
    Object.assign(this.selection.style, {left: `${from}px`, width: `${to - from}px`,
                                         top: `${top}px`, height: `${bottom - top}px`});
  }

  end(event) {
    if (this.start === null) return;
    const [from, to] = this.ends(event);
    this.drop();
    if (to - from < kLeastDrag) return;
    const scale = this.figure.plot.scales.x;
    this.set([scale.getValueForPixel(from), scale.getValueForPixel(to)]);
  }

  drop() {
    this.start = null;
    this.selection.hidden = true;
  }

  turn(event) {
    const {plot} = this.figure;
    if (plot === null) return;
    const [x, y] = this.place(event);
    if (!event.ctrlKey && y <= plot.chartArea.bottom) return;  // the page scrolls
    event.preventDefault();
    this.scale(event.deltaY < 0 ? 1 / kStep : kStep, plot.scales.x.getValueForPixel(x));
  }
}
