// Verdicts and outcomes: each has a word, a shape and a colour; none is told by colour alone.

const kShapes = {
  check: () => [circle(true), stroke('M4.6 8.3l2.3 2.3 4.5-4.9', 'cut')],
  cross: () => [
    svg('rect', {x: 1, y: 1, width: 14, height: 14, rx: 2.5, class: 'fill'}),
    stroke('M5 5l6 6M11 5l-6 6', 'cut'),
  ],
  half: () => [
    stroke('M8 1.2L14.8 8 8 14.8 1.2 8z'),
    svg('path', {d: 'M8 1.2v13.6L1.2 8z', class: 'fill'}),
  ],
  question: () => [circle(false), stroke('M6 6.4a2 2 0 1 1 2.9 1.8c-.6.3-.9.7-.9 1.4M8 11.7v.1')],
  dash: () => [circle(false, '2.2 2'), stroke('M5 8h6')],
  warning: () => [
    svg('path', {d: 'M8 1.2L15.2 14.4H.8z', class: 'fill', 'stroke-linejoin': 'round'}),
    stroke('M8 6v4M8 12.2v.1', 'cut'),
  ],
  dots: () => [circle(false, '1 2.4'), stroke('M5 8h.1M8 8h.1M11 8h.1')],
};

// In the order in which the first screen counts them.
const kVerdicts = [
  {word: 'supported', shape: 'check', tone: 'good'},
  {word: 'not supported', shape: 'cross', tone: 'bad'},
  {word: 'mixed', shape: 'half', tone: 'mixed'},
  {word: 'undecided', shape: 'question', tone: 'open'},
  {word: 'skipped', shape: 'dash', tone: 'quiet'},
  {word: 'failed', shape: 'warning', tone: 'broken'},
  {word: 'unfinished', shape: 'dots', tone: 'quiet'},
];

const kOutcomes = [
  {word: 'yes', shape: 'check', tone: 'good'},
  {word: 'no', shape: 'cross', tone: 'bad'},
  {word: 'unclear', shape: 'question', tone: 'open'},
];

function circle(filled, dashes = null) {
  return svg('circle', {cx: 8, cy: 8, r: 7, class: filled ? 'fill' : 'line',
                        'stroke-dasharray': dashes});
}

function stroke(d, kind = 'line') {
  return svg('path', {d, class: kind});
}

function shapeOf(entry) {
  const look = {viewBox: '0 0 16 16', class: `shape tone-${entry.tone}`, 'aria-hidden': 'true'};
  return svg('svg', look, kShapes[entry.shape]());
}

function entryOf(table, word) {
  return table.find(entry => entry.word === word) ?? {word, shape: 'question', tone: 'quiet'};
}

/** An experiment without a verdict line was not finished. */
function verdictOf(experiment) {
  return entryOf(kVerdicts, experiment.verdict ? textOf(experiment.verdict.verdict) : 'unfinished');
}

function badge(entry) {
  return el('span', {class: `badge tone-${entry.tone}`}, shapeOf(entry), entry.word);
}

function outcomeMark(word) {
  const entry = entryOf(kOutcomes, word);
  return el('span', {class: `outcome tone-${entry.tone}`}, shapeOf(entry), entry.word);
}
