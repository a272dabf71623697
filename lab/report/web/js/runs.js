// Training runs: what they were, side by side, and their charts by section.

const kSections = new Map([
  ['loss', 'Loss'],
  ['accuracy', 'Accuracy'],
  ['rate', 'Learning rate'],
  ['statistics', 'Running against batch statistics'],
  ['activations', 'Activations'],
  ['gradients', 'Gradients'],
  ['scales', 'γ and β'],
]);

function sectionTitle(name) {
  return kSections.get(name) ?? (name || 'More');
}

function sectionAnchor(index) {
  return `section-${index + 1}`;
}

/** Sections in the order of the table, others behind them. */
function orderedSections(sections) {
  const rank = name => {
    const at = [...kSections.keys()].indexOf(name);
    return at < 0 ? kSections.size : at;
  };
  return [...sections.entries()].sort(([a], [b]) => rank(a) - rank(b));
}

/** A row per fact, a column per run. */
function runTable(runs) {
  const factsOfRun = run => new Map(listOf(run.facts).map(fact => {
    const [key, value] = textsOf(fact);
    return [key ?? '', value ?? ''];
  }));
  const facts = runs.map(factsOfRun);
  const keys = [...new Set(facts.flatMap(map => [...map.keys()]))];
  return plainTable(['', ...runs.map(run => textOf(run.name))],
                    keys.map(key => [key, ...facts.map(map => map.get(key) ?? kMissing)]), '',
                    'Runs');
}

function runNotes(runs) {
  const notes = runs.flatMap(run => textsOf(run.notes).map(note => `${textOf(run.name)}: ${note}`));
  return notes.length === 0 ? null
      : part('Notes', el('ul', {class: 'advice'}, notes.map(note => el('li', {}, note))));
}

function sectionContents(sections) {
  return el('nav', {class: 'contents', 'aria-label': 'Sections'}, el('ol', {},
      [el('li', {}, el('a', {href: '#runs'}, 'Runs')), ...sections.map(([name], index) =>
          el('li', {}, el('a', {href: `#${sectionAnchor(index)}`}, sectionTitle(name))))]));
}

function runsNodes(model, sections) {
  return [
    el('section', {id: 'runs', class: 'experiment', 'aria-labelledby': 'runs-title'},
       el('h2', {id: 'runs-title'}, 'Runs'), runTable(model.runs), runNotes(model.runs)),
    ...sections.map(([name, charts], index) => {
      const id = sectionAnchor(index);
      return el('section', {id, class: 'experiment', 'aria-labelledby': `${id}-title`},
                el('h2', {id: `${id}-title`}, sectionTitle(name)), chartGrid(charts, 'h3'));
    }),
  ];
}
