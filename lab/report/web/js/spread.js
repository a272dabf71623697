// Intervals of the means: bands behind lines, whiskers on bars and marks. A plugin of Chart.js.

const kBand = 0.17;

function eachShown(plot, draw) {
  const {ctx, chartArea: area} = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(area.left, area.top, area.width, area.height);
  ctx.clip();
  plot.data.datasets.forEach((dataset, index) => {
    if (plot.isDatasetVisible(index)) draw(ctx, dataset, plot.getDatasetMeta(index));
  });
  ctx.restore();
}

/** A pixel of y; on a logarithmic axis, what is not above 0 lies at its lower end. */
function pixelOf(plot, value) {
  const scale = plot.scales.y;
  const inside = scale.type === 'logarithmic' ? Math.max(value, scale.min / 10) : value;
  return scale.getPixelForValue(inside);
}

/** Runs of neighbours that have an interval. */
function stretches(points) {
  const found = [[]];
  for (const point of points) {
    if (point.lo === null || point.hi === null || point.y === null) found.push([]);
    else found[found.length - 1].push(point);
  }
  return found.filter(stretch => stretch.length > 1);
}

function drawBands(plot) {
  eachShown(plot, (ctx, dataset) => {
    ctx.fillStyle = faded(dataset.borderColor, kBand);
    for (const stretch of stretches(dataset.data)) {
      ctx.beginPath();
      for (const point of stretch) {
        ctx.lineTo(plot.scales.x.getPixelForValue(point.x), pixelOf(plot, point.hi));
      }
      for (const point of [...stretch].reverse()) {
        ctx.lineTo(plot.scales.x.getPixelForValue(point.x), pixelOf(plot, point.lo));
      }
      ctx.fill();
    }
  });
}

function drawWhiskers(plot, palette, cap) {
  eachShown(plot, (ctx, dataset, meta) => {
    ctx.strokeStyle = dataset.type === 'bar' ? palette.ink : dataset.borderColor;
    ctx.lineWidth = cap < 4 ? 1 : 1.5;
    dataset.data.forEach((point, index) => {
      if (!meta.data[index] || point.y === null || point.lo === null || point.hi === null) return;
      const [x, low, high] = [meta.data[index].x, pixelOf(plot, point.lo), pixelOf(plot, point.hi)];
      ctx.beginPath();
      ctx.moveTo(x, low);
      ctx.lineTo(x, high);
      for (const y of [low, high]) {
        ctx.moveTo(x - cap, y);
        ctx.lineTo(x + cap, y);
      }
      ctx.stroke();
    });
  });
}

function spreadPlugin(type, palette, small) {
  return {
    id: 'spread',
    beforeDatasetsDraw: plot => { if (type === 'line') drawBands(plot); },
    afterDatasetsDraw: plot => { if (type !== 'line') drawWhiskers(plot, palette, small ? 2 : 4); },
  };
}
