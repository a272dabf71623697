// The JSON lines of the page as objects whose fields have the kinds that the rest relies on.

function textOf(value) {
  if (value === null || value === undefined) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function listOf(value) {
  return Array.isArray(value) ? value : [];
}

function textsOf(value) {
  return typeof value === 'string' ? [value] : listOf(value).map(textOf);
}

function objectOf(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : {};
}

function numberOf(value) {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

function parseLines(text) {
  const lines = text.split('\n').filter(line => line.trim() !== '');
  return lines.map(line => objectOf(JSON.parse(line)));
}

function emptyExperiment(name) {
  return {name, about: {}, cells: [], charts: [], tables: [], checks: [], verdict: null};
}

/** {lab, report, runs, experiments, sections}; unknown kinds of lines are passed over. */
function modelOf(lines) {
  const experiments = new Map();
  const sections = new Map();
  const at = (map, key, make) => {
    if (!map.has(key)) map.set(key, make(key));
    return map.get(key);
  };
  const of = line => at(experiments, textOf(line.experiment), emptyExperiment);
  const model = {lab: null, report: null, runs: []};
  const readers = {
    lab: line => { model.lab = line; },
    report: line => { model.report = line; },
    run: line => model.runs.push(line),
    experiment: line => { at(experiments, textOf(line.name), emptyExperiment).about = line; },
    cell: line => of(line).cells.push(line),
    chart: line => {
      if (line.experiment !== undefined) of(line).charts.push(chartOf(line));
      else at(sections, textOf(line.section), () => []).push(chartOf(line));
    },
    table: line => of(line).tables.push(line),
    check: line => of(line).checks.push(line),
    verdict: line => { of(line).verdict = line; },
  };
  for (const line of lines) {
    if (Object.hasOwn(readers, textOf(line.kind))) readers[line.kind](line);
  }
  model.experiments = [...experiments.values()];
  model.sections = sections;
  return model;
}

/** The line of a chart with points in place of columns, in the order of x. */
function chartOf(line) {
  const type = ['line', 'bar', 'scatter'].includes(line.type) ? line.type : 'line';
  const axisOf = axis => ({
    label: textOf(objectOf(axis).label),
    unit: textOf(objectOf(axis).unit),
    scale: textOf(objectOf(axis).scale) || 'linear',
    categories: textsOf(objectOf(axis).categories),
  });
  const chart = {
    title: textOf(line.title),
    note: textOf(line.note),
    headline: line.headline === true,
    type,
    x: axisOf(line.x),
    y: axisOf(line.y),
    series: listOf(line.series).map(objectOf).map(seriesOf),
  };
  if (type === 'bar' && chart.x.scale !== 'category') nameBars(chart);
  if (chart.x.scale === 'category') keepKnownCategories(chart);
  const points = chart.series.flatMap(series => series.points);
  chart.finite = points.filter(point => point.y !== null).length;
  const above = values => values.length > 0 && values.every(value => value > 0);
  chart.x.allowsLog = chart.x.scale !== 'category' && above(points.map(point => point.x));
  chart.y.allowsLog = above(points.map(point => point.y).filter(y => y !== null));
  return chart;
}

function seriesOf(series, index) {
  const [x, y, lo, hi] = ['x', 'y', 'lo', 'hi'].map(key => listOf(series[key]).map(numberOf));
  const points = x.map((value, i) =>
      ({x: value, y: y[i] ?? null, lo: lo[i] ?? null, hi: hi[i] ?? null}));
  const color = Number.isInteger(series.color) ? series.color : index;
  return {
    name: textOf(series.name) || `series ${index + 1}`,
    color: ((color % kColors) + kColors) % kColors,
    dash: series.dash === true,
    points: points.filter(point => point.x !== null).sort((a, b) => a.x - b.x),
  };
}

/** Bars stand beside one another at equal distances, whatever their numbers are. */
function nameBars(chart) {
  const values = valuesOfX(chart);
  const places = new Map(values.map((x, index) => [x, index]));
  chart.x.scale = 'category';
  chart.x.categories = values.map(x => formatNumber(x));
  for (const series of chart.series) {
    for (const point of series.points) point.x = places.get(point.x);
  }
}

function keepKnownCategories(chart) {
  const end = chart.x.categories.length - 0.5;
  for (const series of chart.series) {
    series.points = series.points.filter(point => point.x >= -0.5 && point.x <= end);
  }
}

/** Every x of a chart once, in order. */
function valuesOfX(chart) {
  const values = new Set(chart.series.flatMap(series => series.points.map(point => point.x)));
  return [...values].sort((a, b) => a - b);
}

function nameOfX(chart, x) {
  if (chart.x.scale !== 'category') return formatNumber(x, 6);
  return chart.x.categories[Math.round(x)] ?? formatNumber(x);
}

function titleOfY(chart) {
  return [chart.y.label, chart.y.unit].filter(part => part !== '').join(', ');
}
