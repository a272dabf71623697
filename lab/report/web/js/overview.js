// The first screen: every verdict at a glance, with one picture each, and what finds one of them.

function headlineOf(experiment) {
  return experiment.charts.find(chart => chart.headline) ?? experiment.charts[0] ?? null;
}

function titleOf(experiment) {
  return textOf(experiment.about.title) || experiment.name || 'without a name';
}

function summaryOfVerdict(experiment) {
  if (experiment.verdict) return textOf(experiment.verdict.summary);
  return 'The lab ended before this experiment did.';
}

/** Where an experiment is on the page; names are the data's, ids are not. */
function anchorOf(index) {
  return `experiment-${index + 1}`;
}

function card(experiment, index) {
  const chart = headlineOf(experiment);
  return el('li', {class: 'card', 'data-experiment': index},
      el('h3', {}, el('a', {href: `#${anchorOf(index)}`}, titleOf(experiment))),
      badge(verdictOf(experiment)),
      el('p', {class: 'summary'}, summaryOfVerdict(experiment)),
      chart === null ? null : new SmallFigure(chart).node);
}

function contents(experiments) {
  return el('nav', {class: 'contents', 'aria-label': 'Experiments'}, el('ol', {},
      experiments.map((experiment, index) => {
        const verdict = verdictOf(experiment);
        return el('li', {'data-experiment': index}, el('a', {href: `#${anchorOf(index)}`},
            shapeOf(verdict), el('span', {}, titleOf(experiment)),
            el('span', {class: 'unseen'}, `: ${verdict.word}`)));
      })));
}

/** Everything that a search may look for. */
function searchTextOf(experiment) {
  const {about, checks, charts, tables} = experiment;
  return [experiment.name, titleOf(experiment), about.claim, about.source, about.question,
          about.supports, about.contradicts, ...textsOf(about.setup), ...textsOf(about.practice),
          verdictOf(experiment).word, summaryOfVerdict(experiment),
          ...checks.flatMap(check => [check.text, check.quantity]),
          ...charts.flatMap(chart => [chart.title, ...chart.series.map(series => series.name)]),
          ...tables.map(table => table.title)].map(textOf).join('\n').toLowerCase();
}

class Filter {
  constructor(experiments) {
    this.experiments = experiments;
    this.texts = experiments.map(searchTextOf);
    this.chosen = new Set();
    this.words = [];
    this.count = el('p', {class: 'count'});
    this.search = el('input', {
      type: 'search', id: 'search', autocomplete: 'off', spellcheck: 'false',
      placeholder: 'Search the experiments', 'aria-label': 'Search the experiments',
      oninput: () => this.find(),
    });
    this.none = el('p', {class: 'none', hidden: true}, 'No experiment fits. ',
                   button('Show all', () => this.clear()));
  }

  chipGroup() {
    const found = this.experiments.map(verdictOf);
    const strange = found.filter(entry => !kVerdicts.includes(entry));
    const entries = [...kVerdicts.filter(entry => found.includes(entry)),
                     ...new Map(strange.map(entry => [entry.word, entry])).values()];
    this.chips = entries.map(entry => {
      const count = found.filter(one => one.word === entry.word).length;
      return toggle([shapeOf(entry), el('span', {}, entry.word), el('strong', {}, count)], false,
          on => this.choose(entry.word, on), {class: 'chip', 'data-verdict': entry.word});
    });
    return el('div', {class: 'chips', role: 'group', 'aria-label': 'Show only these verdicts'},
              this.chips);
  }

  choose(word, on) {
    if (on) this.chosen.add(word);
    else this.chosen.delete(word);
    this.apply();
  }

  find() {
    this.words = this.search.value.toLowerCase().split(/\s+/).filter(word => word !== '');
    this.apply();
  }

  clear() {
    this.chosen.clear();
    for (const chip of this.chips) chip.setAttribute('aria-pressed', 'false');
    this.search.value = '';
    this.find();
    this.search.focus();
  }

  fits(index) {
    const word = verdictOf(this.experiments[index]).word;
    return (this.chosen.size === 0 || this.chosen.has(word)) &&
        this.words.every(part => this.texts[index].includes(part));
  }

  apply() {
    for (const node of document.querySelectorAll('[data-experiment]')) {
      node.hidden = !this.fits(Number(node.dataset.experiment));
    }
    const shown = this.experiments.filter((_, index) => this.fits(index)).length;
    this.none.hidden = shown > 0;
    const all = this.experiments.length;
    this.count.textContent = shown === all ? '' : `${shown} of ${counted(all, 'experiment')}`;
    announce(`${shown} of ${counted(all, 'experiment')} shown`);
  }
}

function overview(experiments, filter) {
  return el('section', {id: 'verdicts', 'aria-labelledby': 'verdicts-title'},
      el('div', {class: 'section-head'}, el('h2', {id: 'verdicts-title'}, 'Verdicts'), filter.count,
         el('div', {class: 'search', role: 'search'}, filter.search)),
      filter.chipGroup(), filter.none,
      el('ul', {class: 'cards'}, experiments.map(card)));
}
