// A chart on a canvas: what Chart.js is told.

/** What of a chart is shown, apart from the chart itself. */
function viewOf(chart) {
  return {
    hidden: new Set(),
    range: null,  // of x, where zoomed
    logX: chart.x.scale === 'log' && valuesOfX(chart).some(x => x > 0),
    logY: chart.y.scale === 'log' &&
        chart.series.some(series => series.points.some(point => point.y > 0)),
  };
}

/** Values that a logarithmic axis has no place for. */
function unplaced(chart, view) {
  return chart.series.flatMap(series => series.points).filter(point => point.y !== null &&
      ((view.logX && point.x <= 0) || (view.logY && point.y <= 0))).length;
}

function shownPoints(chart, series, view) {
  const placed = series.points.filter(point => !view.logX || point.x > 0)
      .map(point => (view.logY && point.y <= 0 ? {...point, y: null} : point));
  if (chart.type !== 'bar') return placed;
  // Bars of one category share an index, by which tooltips and neighbours find one another.
  const byPlace = new Map(placed.map(point => [point.x, point]));
  return chart.x.categories.map((_, x) => byPlace.get(x) ?? {x, y: null, lo: null, hi: null});
}

/** Marks at some points tell lines apart; a point without neighbours has no line but a mark. */
function radiusAt(points, index, offset, small) {
  if (points[index].y === null) return 0;
  const alone = (points[index - 1]?.y ?? null) === null && (points[index + 1]?.y ?? null) === null;
  const every = points.length <= 14 ? 1 : Math.ceil(points.length / 8);
  if (alone || index % every === offset % every) return small ? 2 : 3.5;
  return 0;
}

function datasetOf(chart, series, index, view, palette, small) {
  const color = palette.series[series.color];
  const mark = kMarks[series.color];
  const points = shownPoints(chart, series, view);
  const common = {
    type: chart.type,
    label: series.name,
    data: points,
    hidden: view.hidden.has(index),
    borderColor: color,
    backgroundColor: chart.type === 'bar' ? color : mark.hollow ? palette.surface : color,
  };
  if (chart.type === 'bar') {
    return {...common, borderWidth: 0, borderRadius: small ? 1 : 2, maxBarThickness: 56,
            categoryPercentage: 0.72, barPercentage: 0.88};
  }
  const offset = Math.round(index * points.length / 30);
  return {
    ...common,
    borderWidth: small ? 1.75 : 2.25,
    borderDash: series.dash ? kDashes : [],
    borderJoinStyle: 'round',
    clip: view.range === null ? 7 : 0,  // marks at the ends are whole
    pointStyle: mark.style,
    rotation: mark.turn ?? 0,
    pointBorderColor: color,
    pointBorderWidth: mark.hollow ? 1.5 : 0,
    pointRadius: points.map((_, i) =>
        chart.type === 'scatter' ? (small ? 2.5 : 4) : radiusAt(points, i, offset, small)),
    pointHoverRadius: small ? 0 : 5.5,
    pointHitRadius: 8,
  };
}

function scalesOf(chart, view, palette, small) {
  const limits = view.range ?? fullRange(chart, view.logX);
  const isShown = index => !view.hidden.has(index);
  const categories = chart.x.scale === 'category' ? chart.x.categories : null;
  return {
    x: axisOptions(limits, {logarithmic: view.logX, categories, places: valuesOfX(chart),
                            wanted: small ? 4 : 7, palette, small, grid: false}),
    y: axisOptions(rangeOfY(chart, isShown, limits, view.logY),
                   {logarithmic: view.logY, categories: null, wanted: small ? 3 : 5, palette, small,
                    grid: true}),
  };
}

function tooltipText(chart, series, point) {
  const value = withUnit(formatTogether(point.y, point.lo, point.hi)[0], chart.y.unit);
  const alone = withUnit(formatNumber(point.y), chart.y.unit);
  if (point.lo === null || point.hi === null) return `${series.name}: ${alone}`;
  return `${series.name}: ${value} (${formatInterval(point.lo, point.hi)})`;
}

function tooltipOptions(chart, palette) {
  return {
    backgroundColor: palette.ink,
    titleColor: palette.surface,
    bodyColor: palette.surface,
    titleFont: {family: palette.font, size: 12},
    bodyFont: {family: palette.font, size: 12},
    padding: 9,
    cornerRadius: 5,
    boxPadding: 4,
    usePointStyle: true,
    callbacks: {
      title: items => (items.length === 0 ? '' : titleOfX(chart, items[0].raw.x)),
      label: item => tooltipText(chart, chart.series[item.datasetIndex], item.raw),
      labelColor: item => {
        const color = palette.series[chart.series[item.datasetIndex].color];
        return {borderColor: color, backgroundColor: color};
      },
    },
  };
}

/** 'training steps 140'; a category that is no number speaks for itself. */
function titleOfX(chart, x) {
  const name = nameOfX(chart, x);
  if (chart.x.scale === 'category' && Number.isNaN(Number(name))) return name;
  return [chart.x.label, withUnit(name, chart.x.unit)].filter(part => part !== '').join(' ');
}

function makePlot(canvas, chart, view, small = false) {
  const palette = paletteNow();
  const modes = {line: ['nearest', 'x'], bar: ['index', 'x'], scatter: ['nearest', 'xy']};
  const [mode, axis] = modes[chart.type];
  return new Chart(canvas, {
    type: chart.type,
    data: {datasets: chart.series.map((series, index) =>
        datasetOf(chart, series, index, view, palette, small))},
    options: {
      responsive: true,
      maintainAspectRatio: false,
      animation: false,
      events: small ? [] : ['mousemove', 'mouseout', 'click', 'touchstart', 'touchmove'],
      interaction: {mode, axis, intersect: false},
      layout: {padding: {top: 6, right: small ? 6 : 10}},
      parsing: false,
      spanGaps: false,
      scales: scalesOf(chart, view, palette, small),
      plugins: {
        legend: {display: false},
        tooltip: {enabled: !small, ...tooltipOptions(chart, palette)},
      },
    },
    plugins: [spreadPlugin(chart.type, palette, small)],
  });
}

/** After a change of what is hidden or of the zoom. */
function refreshPlot(plot, chart, view) {
  chart.series.forEach((_, index) => plot.setDatasetVisibility(index, !view.hidden.has(index)));
  for (const dataset of plot.data.datasets) dataset.clip = view.range === null ? 7 : 0;
  plot.options.scales = scalesOf(chart, view, paletteNow(), false);
  plot.update();
}
