// A chart with all that belongs to it: title, legend, tools, and its values as a table.

const kKeys = 'Arrow keys read the values, plus and minus zoom, 0 shows everything.';

const figures = [];
const seen = new IntersectionObserver(entries => {
  for (const entry of entries) {
    if (entry.isIntersecting) figureOf(entry.target)?.draw();
  }
}, {rootMargin: '300px'});

function figureOf(area) {
  return figures.find(figure => figure.area === area);
}

/** Read by whoever wants to know whether the page is finished. */
function countDrawn() {
  const root = document.documentElement;
  root.dataset.charts = String(figures.length);
  root.dataset.drawn = String(figures.filter(figure => figure.drawn).length);
}

function kindOf(chart) {
  return {line: 'Line chart', bar: 'Bar chart', scatter: 'Scatter chart'}[chart.type];
}

/** The chart in one sentence per series, for those who do not see it. */
function summaryOf(chart) {
  const parts = chart.series.map(series => {
    const values = series.points.map(point => point.y).filter(y => y !== null);
    if (values.length === 0) return `${series.name}: no values`;
    const low = values.reduce((a, b) => Math.min(a, b));
    const high = values.reduce((a, b) => Math.max(a, b));
    const last = withUnit(formatNumber(values[values.length - 1]), chart.y.unit);
    return `${series.name}: from ${formatNumber(low)} to ${formatNumber(high)}, last ${last}`;
  });
  const axes = `${titleOfY(chart)} against ${chart.x.label}`;
  return `${kindOf(chart)}: ${chart.title}. ${axes}. ${parts.join('; ')}.`;
}

/** What all figures do: drawn when they come near the window, and again when the colours change. */
class Figure {
  constructor(chart) {
    this.chart = chart;
    this.view = viewOf(chart);
    this.plot = null;
    this.drawn = false;
    this.canvas = el('canvas', {role: 'img', 'aria-label': summaryOf(chart)});
    figures.push(this);
  }

  get empty() {
    return this.chart.finite === 0;
  }

  watch(area) {
    this.area = area;
    seen.observe(area);
  }

  draw() {
    if (this.drawn) return;
    this.drawn = true;
    seen.unobserve(this.area);
    if (!this.empty) this.redraw();
    countDrawn();
  }

  redraw() {
    this.plot?.destroy();
    this.plot = makePlot(this.canvas, this.chart, this.view, this.small);
  }
}

/** The picture of a card on the first screen. */
class SmallFigure extends Figure {
  constructor(chart) {
    super(chart);
    this.small = true;
    const area = el('div', {class: 'plot small'}, this.empty ? nothing() : this.canvas);
    this.node = el('div', {class: 'thumb'},
        el('p', {class: 'axis-title', 'aria-hidden': 'true'}, titleOfY(chart)), area,
        el('p', {class: 'axis-title end', 'aria-hidden': 'true'}, chart.x.label), this.legend());
    this.watch(area);
  }

  legend() {
    const {series} = this.chart;
    if (series.length < 2) return null;
    const shown = series.slice(0, 4).map(one =>
        el('li', {}, swatch(this.chart, one), el('span', {}, one.name)));
    if (series.length > 4) shown.push(el('li', {}, `and ${series.length - 4} more`));
    return el('ul', {class: 'keys', 'aria-hidden': 'true'}, shown);
  }
}

function nothing() {
  return el('p', {class: 'nothing'}, 'No finite values to draw.');
}

class FullFigure extends Figure {
  constructor(chart, level) {
    super(chart);
    this.small = false;
    this.cursor = null;  // the x that the arrow keys have come to
    const help = freshId('keys');
    const selection = el('div', {class: 'selection', hidden: true});
    const area = el('div', {
      class: 'plot', tabindex: this.empty ? null : 0,
      role: 'group', 'aria-roledescription': 'chart',
      'aria-label': `${kindOf(chart)}: ${chart.title}`, 'aria-describedby': help,
      onkeydown: event => this.key(event), onblur: () => this.point(null),
    }, this.empty ? nothing() : [this.canvas, selection]);
    this.watch(area);
    this.zoom = new Zoom(this, area, selection);
    this.note = el('p', {class: 'unplaced note', hidden: true});
    this.node = el('figure', {class: 'chart'},
        el('figcaption', {}, el(level, {}, chart.title)),
        this.legend(),
        el('p', {class: 'axis-title', 'aria-hidden': 'true'}, titleOfY(chart)),
        area,
        el('p', {class: 'axis-title end', 'aria-hidden': 'true'},
           [chart.x.label, chart.x.unit].filter(part => part !== '').join(', ')),
        el('p', {id: help, class: 'unseen'}, kKeys),
        this.note,
        chart.note ? el('p', {class: 'note'}, chart.note) : null,
        this.empty ? null : this.tools(),
        disclosure('Values as a table', () => chartTable(chart), {class: 'values'}));
    this.tellUnplaced();
  }

  legend() {
    const {series} = this.chart;
    if (series.length === 0) return null;
    return el('div', {class: 'legend', role: 'group', 'aria-label': 'Series, shown or not'},
        series.map((one, index) => toggle([swatch(this.chart, one), el('span', {}, one.name)], true,
            on => this.show(index, on))));
  }

  tools() {
    const zoomable = this.chart.x.scale !== 'category' || this.chart.x.categories.length > 3;
    this.resetButton = button('Show all', () => this.zoom.reset(),
                              {disabled: true, class: 'reset'});
    const bars = this.chart.type === 'bar';  // which stand on 0
    const log = (axis, key) => this.chart[axis].allowsLog && (!bars || this.view[key])
        ? toggle(`log ${axis}`, this.view[key], on => this.setLog(key, on),
                 {'aria-label': `Logarithmic ${axis} axis`, class: 'log'}) : null;
    const label = `Tools of the chart ${this.chart.title}`;
    return el('div', {class: 'tools', role: 'toolbar', 'aria-label': label},
        zoomable ? [
          button('+', () => this.zoom.scale(1 / kStep), {'aria-label': 'Zoom in', class: 'square'}),
          button('−', () => this.zoom.scale(kStep), {'aria-label': 'Zoom out', class: 'square'}),
          this.resetButton,
          el('span', {class: 'hint', 'aria-hidden': 'true'}, 'drag to zoom'),
        ] : null,
        el('span', {class: 'space'}), log('x', 'logX'), log('y', 'logY'));
  }

  show(index, on) {
    if (on) this.view.hidden.delete(index);
    else this.view.hidden.add(index);
    this.changed();
  }

  setLog(key, on) {
    this.view[key] = on;
    if (key === 'logX') this.view.range = null;
    if (this.plot !== null) this.redraw();
    this.tellUnplaced();
    this.tellZoom();
  }

  changed() {
    if (this.plot !== null) refreshPlot(this.plot, this.chart, this.view);
    this.tellZoom();
  }

  tellZoom() {
    if (this.resetButton) this.resetButton.disabled = this.view.range === null;
    const [from, to] = this.view.range ?? [null, null];
    this.area.dataset.range = this.view.range === null ? '' : `${from} ${to}`;
  }

  tellUnplaced() {
    const count = unplaced(this.chart, this.view);
    this.note.hidden = count === 0;
    const have = count === 1 ? 'has' : 'have';
    this.note.textContent =
        `${counted(count, 'value')} not above 0 ${have} no place on a logarithmic axis.`;
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || this.plot === null) return;
    const action = {
      ArrowLeft: () => this.step(-1),
      ArrowRight: () => this.step(1),
      '+': () => this.zoom.scale(1 / kStep, this.cursor),
      '=': () => this.zoom.scale(1 / kStep, this.cursor),
      '-': () => this.zoom.scale(kStep, this.cursor),
      0: () => this.zoom.reset(),
      Home: () => this.zoom.reset(),
      Escape: () => this.point(null),
    }[event.key];
    if (action === undefined) return;
    event.preventDefault();
    action();
  }

  /** To the next x that has a value. */
  step(direction) {
    const places = valuesOfX(this.chart).filter(x => this.valuesAt(x).length > 0);
    if (places.length === 0) return;
    const from = this.cursor ?? (direction > 0 ? -Infinity : Infinity);
    const next = direction > 0 ? places.find(x => x > from) : places.findLast(x => x < from);
    this.point(next ?? this.cursor ?? places[0]);
  }

  /** Datasets and indices of the points at x that are shown. */
  valuesAt(x) {
    return (this.plot?.data.datasets ?? []).flatMap((dataset, datasetIndex) => {
      const index = dataset.data.findIndex(point => point.x === x && point.y !== null);
      return index < 0 || !this.plot.isDatasetVisible(datasetIndex) ? [] : [{datasetIndex, index}];
    });
  }

  point(x) {
    this.cursor = x;
    if (this.plot === null) return;
    if (x !== null) this.zoom.follow(x);
    const active = x === null ? [] : this.valuesAt(x);
    this.plot.setActiveElements(active);
    this.plot.tooltip.setActiveElements(active, {x: 0, y: 0});
    this.plot.update();
    if (active.length === 0) return;
    announce([titleOfX(this.chart, x), ...active.map(({datasetIndex, index}) =>
        tooltipText(this.chart, this.chart.series[datasetIndex],
                    this.plot.data.datasets[datasetIndex].data[index]))].join('; '));
  }
}
