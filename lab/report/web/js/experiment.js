// One experiment in full.

function part(title, ...children) {
  return el('section', {class: 'part'}, el('h3', {}, title), ...children);
}

function paragraphs(texts) {
  return texts.filter(text => text !== '').map(text => el('p', {}, linked(text)));
}

function textPart(title, value) {
  const texts = textsOf(value).filter(text => text !== '');
  return texts.length === 0 ? null : part(title, paragraphs(texts));
}

function claimOf(about) {
  if (!about.claim && !about.source) return null;
  return el('blockquote', {class: 'claim'},
      about.claim ? el('p', {}, textOf(about.claim)) : null,
      about.source ? el('footer', {}, linked(textOf(about.source))) : null);
}

/** The clipboard where the browser gives it to this page, else the selection. */
async function copyText(text, node) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(node);
    return document.execCommand('copy');
  }
}

function commandBox(command) {
  if (command === '') return null;
  const code = el('code', {}, command);
  const copy = button('Copy', async () => {
    const done = await copyText(command, code);
    copy.textContent = done ? 'Copied' : 'Selected';
    announce(done ? 'The command is copied.' : 'The command is selected.');
    setTimeout(() => { copy.textContent = 'Copy'; }, 2000);
  }, {class: 'copy', 'aria-label': `Copy the command ${command}`});
  return el('div', {class: 'command'}, el('pre', {tabindex: 0}, code), copy);
}

/** The headline chart is first, and alone where their number is odd. */
function chartGrid(charts, level) {
  const ordered = [...charts].sort((a, b) => Number(b.headline) - Number(a.headline));
  return el('div', {class: ordered.length % 2 === 1 ? 'charts odd' : 'charts'},
      ordered.map(chart => new FullFigure(chart, level).node));
}

function verdictPart(experiment) {
  return el('div', {class: `verdict tone-${verdictOf(experiment).tone}`},
      badge(verdictOf(experiment)), el('p', {}, summaryOfVerdict(experiment)));
}

function factsOf(experiment) {
  const {about, verdict} = experiment;
  const time = formatSeconds(verdict?.seconds);
  return [experiment.name, textOf(about.data) && `data: ${textOf(about.data)}`,
          time && `${time} of measuring`].filter(Boolean).join(' · ');
}

function practicePart(experiment) {
  const advice = textsOf(experiment.about.practice).filter(text => text !== '');
  if (advice.length === 0) return null;
  const items = advice.map(text => el('li', {}, linked(text)));
  return part('In practice', el('ul', {class: 'advice'}, items));
}

/** 'Chart' or 'Charts', with what `make` gives; nothing where there are none. */
function partOf(noun, list, make) {
  return list.length === 0 ? null : part(list.length === 1 ? noun : `${noun}s`, make(list));
}

function resultParts(experiment) {
  const {about, charts, tables, checks, cells} = experiment;
  return [
    partOf('Check', checks, checksTable),
    partOf('Chart', charts, list => chartGrid(list, 'h4')),
    partOf('Table', tables, list => list.map(labTable)),
    practicePart(experiment),
    about.command ? part('Repeat it', commandBox(textOf(about.command))) : null,
    cells.length === 0 ? null
        : disclosure(`Raw cells: ${grouped(String(cells.length))}`, () => rawCells(cells),
                     {class: 'raw-cells'}),
  ];
}

function experimentNode(experiment, index) {
  const {about} = experiment;
  const title = `${anchorOf(index)}-title`;
  const described = [textPart('Question', about.question),
                     textPart('How it was tried', about.setup)];
  const stakes = [textPart('What would support it', about.supports),
                  textPart('What would contradict it', about.contradicts)];
  return el('article', {id: anchorOf(index), class: 'experiment', 'data-experiment': index,
                        'aria-labelledby': title},
      el('header', {},
         el('p', {class: 'name'}, factsOf(experiment)),
         el('h2', {id: title}, titleOf(experiment)), claimOf(about), verdictPart(experiment)),
      [...described, ...stakes].some(Boolean)
          ? el('div', {class: 'columns'}, el('div', {}, described), el('div', {}, stakes)) : null,
      resultParts(experiment),
      el('p', {class: 'back'}, el('a', {href: '#verdicts'}, '↑ All verdicts')));
}
