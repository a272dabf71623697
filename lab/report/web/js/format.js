// Numbers as people read them. Independent of the browser's language, so that two pages agree.

const kMissing = '–';
const kNoBreak = '\u00a0';

function grouped(digits) {
  const [whole, part] = digits.split('.');
  const text = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  return part === undefined ? text : `${text}.${part}`;
}

function fixed(value, decimals) {
  const text = grouped(Math.abs(value).toFixed(decimals));
  return value < 0 && Number(text.replace(/,/g, '')) !== 0 ? `−${text}` : text;
}

function scientific(value, decimals) {
  const [mantissa, exponent] = Math.abs(value).toExponential(decimals).split('e');
  const raised = String(Number(exponent)).replace('-', '⁻')
      .replace(/\d/g, digit => '⁰¹²³⁴⁵⁶⁷⁸⁹'[digit]);
  const head = Number(mantissa) === 1 ? '10' : `${Number(mantissa)}×10`;
  return `${value < 0 ? '−' : ''}${head}${raised}`;
}

function isPlain(size) {
  return size === 0 || (size >= 1e-4 && size < 1e7);
}

/** About `digits` significant ones, without trailing zeros. */
function formatNumber(value, digits = 4) {
  if (typeof value !== 'number' || !Number.isFinite(value)) return kMissing;
  const size = Math.abs(value);
  if (!isPlain(size)) return scientific(value, digits - 2);
  const whole = size > 0 ? Math.floor(Math.log10(size)) + 1 : 1;
  const text = fixed(value, Math.min(12, Math.max(0, digits - whole)));
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

function withUnit(text, unit) {
  return unit && text !== kMissing ? `${text}${kNoBreak}${unit}` : text;
}

/** Digits behind the point so that the width of an interval has two that count. */
function decimalsOf(...values) {
  const known = values.filter(Number.isFinite);
  const width = Math.max(...known) - Math.min(...known);
  const scale = width > 0 ? width : Math.max(...known.map(Math.abs)) / 100;
  return scale > 0 ? Math.min(12, Math.max(0, 1 - Math.floor(Math.log10(scale)))) : 0;
}

/** Numbers that belong together, such as a mean and the ends of its interval, equally long. */
function formatTogether(...values) {
  const known = values.filter(Number.isFinite);
  const plain = isPlain(Math.max(0, ...known.map(Math.abs)));
  const decimals = known.length > 0 ? decimalsOf(...known) : 0;
  return values.map(value => {
    if (typeof value !== 'number' || !Number.isFinite(value)) return kMissing;
    return plain && decimals <= 6 ? fixed(value, decimals) : formatNumber(value);
  });
}

function formatInterval(lo, hi) {
  const [low, high] = formatTogether(lo, hi);
  return low === kMissing && high === kMissing ? kMissing : `${low} to ${high}`;
}

function formatSeconds(seconds) {
  if (typeof seconds !== 'number' || !Number.isFinite(seconds)) return '';
  if (seconds < 120) return `${formatNumber(seconds, seconds < 10 ? 2 : 3)}${kNoBreak}s`;
  return `${formatNumber(seconds / 60, 3)}${kNoBreak}min`;
}

function counted(count, noun) {
  return `${grouped(String(count))} ${noun}${count === 1 ? '' : 's'}`;
}
