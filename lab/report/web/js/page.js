// Puts the page together: theme, contents, printing.

function isDark() {
  return document.documentElement.dataset.theme === 'dark';
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  for (const figure of figures) {
    if (figure.plot !== null) figure.redraw();
  }
}

/** As the system has it, until the reader chooses. */
function themeSwitch() {
  const system = matchMedia('(prefers-color-scheme: dark)');
  let chosen = false;
  setTheme(system.matches ? 'dark' : 'light');
  const node = toggle('Dark', isDark(), on => {
    chosen = true;
    setTheme(on ? 'dark' : 'light');
  }, {class: 'theme', 'aria-label': 'Dark theme'});
  system.addEventListener('change', () => {
    if (chosen) return;
    setTheme(system.matches ? 'dark' : 'light');
    node.setAttribute('aria-pressed', String(isDark()));
  });
  return node;
}

/** Paper: light, every chart drawn at one size. Disclosures stay as the reader left them. */
function preparePrinting() {
  let before = null;
  addEventListener('beforeprint', () => {
    if (before !== null) return;
    before = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = 'light';
    for (const figure of figures) {
      figure.draw();
      if (figure.plot === null) continue;
      figure.redraw();
      figure.plot.resize(figure.small ? 320 : 600, figure.small ? 140 : 300);
    }
  });
  addEventListener('afterprint', () => {
    if (before === null) return;
    const theme = before;
    before = null;
    setTheme(theme);
    for (const figure of figures) figure.plot?.resize();
  });
}

/** The lines as a file of their own, for programs. */
function saveButton(text, name) {
  return button('Save the data', () => {
    const url = URL.createObjectURL(new Blob([`${text.trim()}\n`], {type: 'application/jsonl'}));
    el('a', {href: url, download: name}).click();
    URL.revokeObjectURL(url);
  }, {class: 'save', title: `The JSON lines that this page draws, as ${name}`});
}

function heading(model) {
  if (model.report !== null || model.runs.length > 0) {
    const names = model.runs.map(run => textOf(run.name));
    return {title: model.runs.length === 1 ? names[0] : counted(model.runs.length, 'training run'),
            lead: 'Training runs, as their metrics tell them.', about: model.report ?? {}};
  }
  return {title: 'The evenkeel lab', about: model.lab ?? {},
          lead: 'What is claimed for batch normalization, measured.'};
}

function factLine(about) {
  const seeds = numberOf(about.seeds);
  return [about.version && `evenkeel ${textOf(about.version)}`,
          about.budget && `${textOf(about.budget)} run`,
          textsOf(about.data).length > 0 && `data: ${textsOf(about.data).join(', ')}`,
          seeds !== null && counted(seeds, 'seed'),
          textOf(about.machine)].filter(Boolean).join(' · ');
}

/** Marks in the contents what is being read. */
function followReading() {
  const links = new Map([...document.querySelectorAll('.contents a')].map(link =>
      [link.getAttribute('href').slice(1), link]));
  const observer = new IntersectionObserver(entries => {
    for (const entry of entries) {
      if (!entry.isIntersecting) links.get(entry.target.id)?.removeAttribute('aria-current');
      else links.get(entry.target.id)?.setAttribute('aria-current', 'true');
    }
  }, {rootMargin: '-30% 0px -65% 0px'});
  for (const id of links.keys()) observer.observe(document.getElementById(id));
}

function fillMain(model, main) {
  if (model.experiments.length > 0) {
    const filter = new Filter(model.experiments);
    main.before(contents(model.experiments));
    main.append(overview(model.experiments, filter), ...model.experiments.map(experimentNode));
  }
  const sections = orderedSections(model.sections);
  if (model.runs.length > 0 || sections.length > 0) {
    main.before(sectionContents(sections));
    main.append(...runsNodes(model, sections));
  }
  if (main.childElementCount === 0) {
    main.append(el('p', {class: 'none'},
                   'There are no results in this page: nothing was measured yet.'));
  }
}

function start() {
  const text = document.getElementById('data').textContent;
  const model = modelOf(parseLines(text));
  const {title, lead, about} = heading(model);
  const file = model.report !== null ? 'report.jsonl' : 'results.jsonl';
  document.getElementById('controls').append(
      themeSwitch(), saveButton(text, file), button('Print', () => print(), {class: 'print'}));
  document.getElementById('title').textContent = title;
  document.getElementById('lead').textContent = lead;
  document.getElementById('facts').textContent = factLine(about);
  fillMain(model, document.getElementById('main'));
  const command = commandBox(textOf(about.command));
  if (command !== null) {
    document.getElementById('again').append(el('p', {}, 'This page was made by'), command);
  }
  preparePrinting();
  followReading();
  countDrawn();
}

start();
