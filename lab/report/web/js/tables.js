// Tables: those of the lab, the checks with their intervals, a chart's values, raw cells that sort.

/** Wide tables scroll sideways in a frame of their own, which the keyboard can reach. */
function framed(table, label) {
  return el('div', {class: 'frame', tabindex: 0, role: 'region', 'aria-label': label}, table);
}

function plainTable(columns, rows, caption, label = caption || 'Table') {
  const head = el('tr', {}, columns.map(column => el('th', {scope: 'col'}, column)));
  const body = rows.map(row => el('tr', {}, row.map((cell, index) =>
      (index === 0 ? el('th', {scope: 'row'}, cell) : el('td', {}, cell)))));
  return framed(el('table', {}, caption ? el('caption', {}, caption) : null, el('thead', {}, head),
                   el('tbody', {}, body)), label);
}

function labTable(line) {
  return plainTable(textsOf(line.columns), listOf(line.rows).map(textsOf), textOf(line.title));
}

/** '12.3 (11.9 to 12.7)' */
function valueText({y, lo, hi}) {
  if (lo === null || hi === null) return formatNumber(y);
  return `${formatTogether(y, lo, hi)[0]} (${formatInterval(lo, hi)})`;
}

/** One row per x, one column per series. */
function chartTable(chart) {
  const columns = [chart.x.label || 'x', ...chart.series.map(series => series.name)];
  const places = chart.series.map(series => {
    const map = new Map();
    for (const point of series.points) map.set(point.x, [...(map.get(point.x) ?? []), point]);
    return map;
  });
  const rows = valuesOfX(chart).map(x => [
    nameOfX(chart, x), ...places.map(map => (map.get(x) ?? []).map(valueText).join('; ')),
  ]);
  return plainTable(columns, rows, `${chart.title}: ${titleOfY(chart)}`);
}

/** A check as it is drawn: what is no number is null. */
function readCheck(check) {
  const [mean, lo, hi, neutral, n] =
      ['mean', 'lo', 'hi', 'neutral', 'n'].map(key => numberOf(check[key]));
  const [from, to] = [0, 1].map(end => numberOf(listOf(check.needed)[end]));
  const judge = textOf(check.judge);
  return {mean, lo, hi, neutral, n, from, to, ratio: judge === 'ratio' || judge === 'alike'};
}

/** The interval, the line of no difference and what was needed; of ratios, their logarithms. */
function intervalPicture(check) {
  const {mean, lo, hi, neutral, from, to, ratio} = readCheck(check);
  if (mean === null || lo === null || hi === null) return null;
  const bounds = [from, to].filter(value => value !== null);
  const all = [mean, lo, hi, ...bounds, ...(neutral === null ? [] : [neutral])];
  const at = value => (ratio && all.every(one => one > 0) ? Math.log(value) : value);
  const [first, last] = [Math.min(...all.map(at)), Math.max(...all.map(at))];
  const part = value => (last > first ? (at(value) - first) / (last - first) : 0.5);
  const x = value => (6 + 108 * part(value)).toFixed(1);
  const entry = entryOf(kOutcomes, textOf(check.outcome));
  const look = {viewBox: '0 0 120 20', class: `interval tone-${entry.tone}`, 'aria-hidden': 'true'};
  return svg('svg', look,
      neutral === null ? null : svg('path', {d: `M${x(neutral)} 1v18`, class: 'neutral'}),
      bounds.map(value => svg('path', {d: `M${x(value)} 1v18`, class: 'needed'})),
      svg('path', {d: `M${x(lo)} 10H${x(hi)}M${x(lo)} 6v8M${x(hi)} 6v8`, class: 'line'}),
      svg('circle', {cx: x(mean), cy: 10, r: 4, class: 'fill'}));
}

/** 'from 1.1', 'up to 0.9091', '0.9524 to 1.05' */
function neededText({from, to}) {
  if (from !== null && to !== null) return `${formatNumber(from)} to ${formatNumber(to)}`;
  if (from !== null) return `from ${formatNumber(from)}`;
  return to === null ? kMissing : `up to ${formatNumber(to)}`;
}

function checkRow(check) {
  const read = readCheck(check);
  const {mean, lo, hi, n} = read;
  const [middle, low, high] = formatTogether(mean, lo, hi);
  return el('tr', {},
      el('th', {scope: 'row'}, textOf(check.text),
         el('span', {class: 'quantity'}, textOf(check.quantity),
            read.ratio ? ' (geometric mean)' : null)),
      el('td', {}, outcomeMark(textOf(check.outcome))),
      el('td', {class: 'number'}, middle),
      el('td', {class: 'number'}, lo === null && hi === null ? kMissing : `${low} to ${high}`),
      el('td', {class: 'number'}, neededText(read)),
      el('td', {class: 'picture'}, intervalPicture(check)),
      el('td', {class: 'number'}, n === null ? kMissing : formatNumber(n)));
}

const kHowCompared =
    'Yes: the whole interval lies on the claim’s side of no difference (the solid line), and the ' +
    'mean at least as far from it as needed (dashed); no: the same on the other side.';
const kHowAlike =
    'Where the claim is that two cost the same, yes: the whole interval lies between the dashed ' +
    'lines; no: all of it lies above them.';

/** How outcomes come about, of the kinds of check that there are here. */
function checksNote(checks) {
  const alike = checks.filter(check => textOf(check.judge) === 'alike').length;
  const parts = [alike < checks.length ? kHowCompared : '', alike > 0 ? kHowAlike : '',
                 'Everything else is unclear.'];
  return el('p', {class: 'note'}, parts.filter(Boolean).join(' '));
}

function checksTable(checks) {
  const columns = ['what was compared', 'outcome', 'mean', '95 % interval', 'needed', '', 'seeds'];
  const head = columns.map(column => (column === ''
      ? el('td', {class: 'picture', 'aria-hidden': 'true'}) : el('th', {scope: 'col'}, column)));
  return [framed(el('table', {class: 'checks'}, el('thead', {}, el('tr', {}, head)),
                    el('tbody', {}, checks.map(checkRow))), 'Checks'), checksNote(checks)];
}

/** Columns of raw cells: whatever any of them has. */
function cellColumns(cells) {
  const keys = field => [...new Set(cells.flatMap(cell => Object.keys(objectOf(cell[field]))))];
  const inner = field => keys(field).map(key => ({title: key, of: cell => {
    const fields = objectOf(cell[field]);
    return Object.hasOwn(fields, key) ? fields[key] : null;
  }}));
  const own = key => ({title: key, of: cell => cell[key] ?? null});
  return [own('stage'), own('arm'), own('seed'), ...inner('at'), ...inner('values'),
          own('seconds')];
}

function compareCells(a, b) {
  if (a === null || b === null) return (a === null ? 1 : 0) - (b === null ? 1 : 0);
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return textOf(a).localeCompare(textOf(b), 'en', {numeric: true});
}

/** Missing values stay last in both directions. */
function sortedCells(cells, column, descending) {
  return [...cells].sort((a, b) => {
    const [left, right] = [column.of(a), column.of(b)];
    const sign = descending && left !== null && right !== null ? -1 : 1;
    return sign * compareCells(left, right);
  });
}

function rawCells(cells) {
  const columns = cellColumns(cells).map(column =>
      ({...column, numeric: cells.some(cell => typeof column.of(cell) === 'number')}));
  const body = el('tbody');
  const fill = list => body.replaceChildren(...list.map(cell => el('tr', {}, columns.map(column => {
    const value = column.of(cell);
    const text = typeof value === 'number' ? formatNumber(value, 6) : textOf(value) || kMissing;
    return el('td', {class: column.numeric ? 'number' : null}, text);
  }))));
  const sortBy = (head, column) => {
    const descending = head.getAttribute('aria-sort') === 'ascending';
    for (const other of heads) other.removeAttribute('aria-sort');
    head.setAttribute('aria-sort', descending ? 'descending' : 'ascending');
    fill(sortedCells(cells, column, descending));
  };
  const heads = columns.map(column => el('th',
      {scope: 'col', class: column.numeric ? 'number' : null},
      button(column.title, event => sortBy(event.currentTarget.parentNode, column))));
  fill(cells);
  return framed(el('table', {class: 'raw'}, el('thead', {}, el('tr', {}, heads)), body),
                'Raw cells');
}
