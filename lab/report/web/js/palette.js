// Colours of the present theme, and what tells series apart beside colour: marks and dashes.

const kColors = 8;
const kMarks = [
  {style: 'circle', path: 'M14 3.3a3.7 3.7 0 1 0 .01 0z'},
  {style: 'triangle', path: 'M14 2.5l4.3 7.5H9.7z'},
  {style: 'rect', path: 'M10.7 3.7h6.6v6.6h-6.6z'},
  {style: 'rectRot', path: 'M14 2.3L18.7 7 14 11.7 9.3 7z'},
  {style: 'triangle', turn: 180, path: 'M14 11.5l4.3-7.5H9.7z'},
  {style: 'circle', hollow: true, path: 'M14 3.3a3.7 3.7 0 1 0 .01 0z'},
  {style: 'rect', hollow: true, path: 'M10.7 3.7h6.6v6.6h-6.6z'},
  {style: 'rectRot', hollow: true, path: 'M14 2.3L18.7 7 14 11.7 9.3 7z'},
];
const kDashes = [6, 4];

function cssColor(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function paletteNow() {
  return {
    series: Array.from({length: kColors}, (_, index) => cssColor(`series-${index}`)),
    ink: cssColor('ink'),
    muted: cssColor('muted'),
    grid: cssColor('grid'),
    surface: cssColor('surface'),
    font: getComputedStyle(document.body).fontFamily,
  };
}

/** '#1b6ca8' with the opacity of a band. */
function faded(color, opacity) {
  return color + Math.round(opacity * 255).toString(16).padStart(2, '0');
}

/** What a series looks like in a chart, for its legend. */
function swatch(chart, series) {
  const parts = [];
  if (chart.type === 'bar') {
    parts.push(svg('rect', {x: 7, y: 1, width: 14, height: 12, rx: 2}));
  } else {
    if (chart.type === 'line') {
      parts.push(svg('path', {d: 'M1 7h26', 'stroke-width': 2.5,
                              'stroke-dasharray': series.dash ? '5 3' : null}));
    }
    const mark = kMarks[series.color];
    parts.push(svg('path', {d: mark.path, class: mark.hollow ? 'hollow' : null}));
  }
  return svg('svg', {viewBox: '0 0 28 14', class: `swatch series-${series.color}`,
                     'aria-hidden': 'true'}, parts);
}
