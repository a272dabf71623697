// Axes: limits that fit what is shown, ticks at numbers that people would choose.

function tickStep(width, wanted) {
  const rough = width / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find(factor => factor * power >= rough * 0.999);
}

function linearTicks(min, max, wanted) {
  if (!(max > min)) return [min];
  const step = tickStep(max - min, wanted);
  const ticks = [];
  for (let i = Math.ceil(min / step - 1e-9); i * step <= max + 1e-9 * step; i += 1) {
    ticks.push(i * step);
  }
  return ticks;
}

/** The numbers that were tried, where these are few; else decades, or 1, 2 and 5 in each. */
function logTicks(min, max, wanted, places) {
  const tried = places.filter(x => x >= min * 0.999 && x <= max * 1.001);
  if (tried.length > 1 && tried.length <= wanted + 2) return tried;
  const [first, last] = [Math.floor(Math.log10(min)), Math.ceil(Math.log10(max))];
  const decades = Math.log10(max / min);
  const stride = Math.max(1, Math.ceil(decades / wanted));
  const factors = decades > 2.5 ? [1] : [1, 2, 5];
  const ticks = [];
  for (let power = first; power <= last; power += 1) {
    if (power % stride !== 0) continue;
    for (const factor of factors) ticks.push(factor * 10 ** power);
  }
  const inside = ticks.filter(tick => tick >= min * 0.999 && tick <= max * 1.001);
  return inside.length > 1 ? inside : linearTicks(min, max, wanted);
}

/** All x of a chart, with some air for marks and bars. */
function fullRange(chart, logarithmic) {
  if (chart.x.scale === 'category') return [-0.5, Math.max(1, chart.x.categories.length) - 0.5];
  const values = valuesOfX(chart).filter(x => !logarithmic || x > 0);
  if (values.length === 0) return logarithmic ? [1, 10] : [0, 1];
  const [first, last] = [values[0], values[values.length - 1]];
  const air = chart.type === 'scatter' ? 0.04 : 0;
  if (logarithmic) {
    const factor = first === last ? 2 : (last / first) ** air;
    return [first / factor, last * factor];
  }
  const margin = first === last ? Math.abs(first) / 2 || 1 : (last - first) * air;
  return [first - margin, last + margin];
}

/** Limits of y for the points between the ends of x that are shown, their intervals included. */
function rangeOfY(chart, isShown, [from, to], logarithmic) {
  const values = chart.series.filter((_, index) => isShown(index)).flatMap(series =>
      series.points.filter(point => point.y !== null && point.x >= from && point.x <= to)
          .flatMap(point => [point.y, point.lo, point.hi]));
  const known = values.filter(value => value !== null && (!logarithmic || value > 0));
  if (known.length === 0) return logarithmic ? [1, 10] : [0, 1];
  const low = known.reduce((a, b) => Math.min(a, b));
  const high = known.reduce((a, b) => Math.max(a, b));
  return logarithmic ? roundedLog(low, high) : roundedLinear(chart, low, high);
}

function roundedLinear(chart, low, high) {
  let [min, max] = [low, high];
  const fromZero = chart.type === 'bar' || (low >= 0 && low < 0.35 * high);
  if (fromZero) [min, max] = [Math.min(0, low), Math.max(0, high)];
  if (min === max) return [min - (Math.abs(min) / 10 || 1), max + (Math.abs(max) / 10 || 1)];
  const step = tickStep(max - min, 10);
  return [Math.floor(min / step + 1e-9) * step, Math.ceil(max / step - 1e-9) * step];
}

function roundedLog(low, high) {
  const down = value => {
    const power = 10 ** Math.floor(Math.log10(value));
    return power * [5, 2, 1].find(factor => factor * power <= value * 1.001);
  };
  const up = value => {
    const power = 10 ** Math.floor(Math.log10(value));
    return power * [1, 2, 5, 10].find(factor => factor * power >= value * 0.999);
  };
  const [min, max] = [down(low), up(high)];
  return min === max ? [min / 2, max * 2] : [min, max];
}

/** Texts of ticks with equally many digits behind the point. */
function tickTexts(ticks, logarithmic) {
  if (logarithmic && ticks.length > 1 && ticks[ticks.length - 1] / ticks[0] > 90) {
    const plain = ticks.every(tick => isPlain(tick));
    return ticks.map(tick => (plain || tick === 1 ? formatNumber(tick, 3) : scientific(tick, 1)));
  }
  const step = ticks.length > 1 ? Math.abs(ticks[1] - ticks[0]) : Math.abs(ticks[0]) || 1;
  const size = ticks.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  if (logarithmic || size >= 1e7 || step < 1e-5) return ticks.map(tick => formatNumber(tick, 3));
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return ticks.map(tick => fixed(tick, decimals));
}

/** A category's name on at most three lines of so many letters. */
function wrappedLabel(text, width) {
  const cut = line => (line.length > width ? `${line.slice(0, width - 1)}…` : line);
  const lines = [];
  for (const word of text.split(/\s+/)) {
    const last = lines[lines.length - 1];
    const fits = last !== undefined && last.length + word.length < width;
    if (fits) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  if (lines.length > 3) lines.splice(2, lines.length - 2, lines.slice(2).join(' '));
  return lines.map(cut);
}

/** Letters that have room below one category. */
function roomPerCategory(scale, size) {
  const shown = Math.max(1, scale.max - scale.min);
  return Math.max(4, Math.floor((scale.chart.width - 50) / shown / (0.56 * size)));
}

/** Chart.js's options of one axis between two limits. */
function axisOptions(limits, {logarithmic, categories, places = [], wanted, palette, small, grid}) {
  const [min, max] = limits;
  const size = small ? 10.5 : 12;
  let labels = [];
  return {
    type: logarithmic ? 'logarithmic' : 'linear',
    min,
    max,
    offset: false,
    border: {display: false},
    grid: {color: grid ? palette.grid : 'transparent', drawTicks: false, drawBorder: false},
    afterBuildTicks: scale => {
      const ticks = categories === null
          ? (logarithmic ? logTicks : linearTicks)(scale.min, scale.max, wanted, places)
          : categories.map((_, index) => index).filter(i => i >= scale.min && i <= scale.max);
      labels = categories === null ? tickTexts(ticks, logarithmic)
          : ticks.map(tick => wrappedLabel(categories[tick], roomPerCategory(scale, size)));
      scale.ticks = ticks.map((value, index) => ({value, label: labels[index]}));
    },
    ticks: {
      color: palette.muted,
      font: {size, family: palette.font},
      padding: small ? 4 : 7,
      maxRotation: 0,
      autoSkipPadding: 10,
      callback: (_, index) => labels[index],
    },
  };
}
