"use strict";
// From clips and k to the times of the frames, in the page of a report.
// A port of choose_times in kframes_plugin/keyframes.py with all that it calls in kframes_plugin/clips/: allocation.py,
// sharing.py, cheap_frames.py. Function by function and sum by sum the same, so every k gives Python's frames
// (tests/test_report_allocation.py runs both). Whoever changes one changes the other.

const kframesAllocation = (() => {
  const TINY = 1e-9;
  const DIGITS = 1e9;
  const REACH = 1.3; // of keyframes
  const SCARCE = 0.2;
  const BEHIND = 0.25;
  const NANOSECOND = 1e-9;

  // ---- numpy's arithmetic

  const range = (count) => Array.from({ length: count }, (_, index) => index);
  const order = (keys) => range(keys.length).sort((a, b) => keys[a] - keys[b] || a - b);
  const take = (values, places) => places.map((place) => values[place]);
  const where = (values, test) => range(values.length).filter((index) => test(values[index], index));
  const middle = (a, b) => (a + b) / 2;

  function search(sorted, value, right = false) {
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const place = (low + high) >> 1;
      if (right ? sorted[place] <= value : sorted[place] < value) low = place + 1;
      else high = place;
    }
    return low;
  }

  // Pairwise, as numpy adds, so that the last digit is the same.
  function sum(values, from = 0, count = values.length) {
    if (count < 8) {
      let total = 0;
      for (let i = 0; i < count; i++) total += values[from + i];
      return total;
    }
    if (count > 128) {
      let half = count >> 1;
      half -= half % 8;
      return sum(values, from, half) + sum(values, from + half, count - half);
    }
    const parts = values.slice(from, from + 8);
    let at = 8;
    for (; at < count - (count % 8); at += 8) for (let i = 0; i < 8; i++) parts[i] += values[from + at + i];
    const [a, b, c, d, e, f, g, h] = parts;
    let total = a + b + (c + d) + (e + f + (g + h));
    for (; at < count; at++) total += values[from + at];
    return total;
  }

  // Halves go to the even neighbour.
  function rint(value) {
    const floor = Math.floor(value);
    const over = value - floor;
    if (!Number.isFinite(value) || over !== 0.5) return Math.round(value);
    return floor % 2 === 0 ? floor : floor + 1;
  }

  const round9 = (value) => rint(value * DIGITS) / DIGITS;

  function accumulate(values, join) {
    const out = [];
    for (const value of values) out.push(out.length ? join(out[out.length - 1], value) : value);
    return out;
  }

  const rising = (values) => accumulate(values, Math.max);

  function divide(start, end, parts) {
    const step = (end - start) / parts;
    const edges = range(parts + 1).map((i) => (step === 0 ? (i / parts) * (end - start) : i * step) + start);
    edges[parts] = end;
    return edges;
  }

  // ---- sharing.py

  function spread(places, k) {
    const count = places.length;
    if (k === 0 || k === count) return range(k);
    const [first, last] = [places[0], places[count - 1]];
    const halfway = range(count - 1).map((i) => middle(places[i + 1], places[i]));
    const nearest = range(k).map((i) => search(halfway, first + ((i + 0.5) / k) * (last - first)) - i);
    return rising(nearest).map((place, i) => Math.min(place + i, count - k + i));
  }

  function chooseBest(worth, places, k) {
    if (!k) return [];
    const edge = [...worth].sort((a, b) => a - b)[worth.length - k];
    const better = where(worth, (value) => value > edge);
    const equal = where(worth, (value) => value === edge);
    return [...better, ...take(equal, spread(take(places, equal), k - better.length))].sort((a, b) => a - b);
  }

  function shareByRemainder(k, wanted, weight, room, places) {
    const counts = room.map(() => 0);
    while (k > 0) {
      const free = room.map((most, i) => most - counts[i] > 0);
      let share = wanted.map((value, i) => (free[i] ? value : 0));
      if (sum(share) <= 0) share = weight.map((value, i) => (free[i] ? value : 0));
      const total = sum(share);
      const exact = share.map((value) => (k * value) / total);
      const whole = exact.map((value) => Math.floor(value + 1 / DIGITS));
      const step = whole.map((value, i) => Math.min(value, room[i] - counts[i]));
      const able = where(room, (most, i) => most - counts[i] - step[i] > 0 && share[i] > 0);
      const left = Math.min(k - sum(whole), able.length);
      const rest = able.map((i) => round9(exact[i] - whole[i]));
      for (const best of chooseBest(rest, take(places, able), left)) step[able[best]] += 1;
      step.forEach((more, i) => (counts[i] += more));
      k -= sum(step);
    }
    return counts;
  }

  function spreadByCoverage(weights, room, k, lengths, decay) {
    let worth = weights.map(Math.log);
    const counts = room.map(() => 0);
    const mean = sum(lengths) / lengths.length;
    const fallen = (n, i) => (n > 0 ? Math.max(((n + 0.5) * mean) / lengths[i] - 0.5, 0) : 0);
    let left = Math.min(k, sum(room));
    while (left) {
      const free = room.map((most, i) => counts[i] < most);
      if (worth.every((value, i) => !free[i] || value === -Infinity)) worth = worth.map(() => 0);
      const gain = worth.map((value, i) =>
        free[i] ? round9(value + fallen(counts[i], i) * Math.log(decay)) : -Infinity,
      );
      const most = gain.reduce((a, b) => Math.max(a, b));
      const equal = where(gain, (value) => value === most);
      const served = take(equal, spread(equal, Math.min(left, equal.length)));
      for (const i of served) counts[i] += 1;
      left -= served.length;
    }
    return counts;
  }

  // ---- allocation.py. Areas: columns start, end, first, last, weight, rank.

  const COLUMNS = ["start", "end", "first", "last", "weight", "rank"];
  const columns = (make) => Object.fromEntries(COLUMNS.map((name) => [name, make(name)]));
  const frames = (areas) => areas.last.map((last, i) => last - areas.first[i]);
  const middles = (areas) => areas.start.map((start, i) => middle(start, areas.end[i]));
  const capacity = (areas) => sum(frames(areas));
  const lengthsOf = (areas) => areas.end.map((end, i) => Math.max(end - areas.start[i], TINY));

  function cutSpans(clips, duration) {
    const end = clips.map((clip) => Math.min(clip.end, duration));
    return [clips.map((clip, i) => Math.min(clip.start, end[i])), end];
  }

  function rankClips(clips) {
    const ranks = range(clips.length);
    for (const priority of ["P1", "P2"]) {
      const places = where(clips, (clip) => clip.priority === priority);
      for (let from = 0, to; from < places.length; from = to) {
        const score = clips[places[from]].score;
        for (to = from + 1; to < places.length && clips[places[to]].score === score; ) to++;
        const run = places.slice(from, to);
        const inOrder = run.every((place, i) => !i || clips[run[i - 1]].start <= clips[place].start);
        if (score !== null || inOrder) for (const place of run) ranks[place] = run[0];
      }
    }
    return ranks;
  }

  function areasFromSpans(starts, ends, ranks, weight, times) {
    const areas = columns(() => []);
    const first = starts.map((start) => search(times, start));
    const last = ends.map((end) => search(times, end));
    first.forEach((place, i) => {
      if (place === last[i]) first[i] = Math.max(place - 1, 0);
      last[i] = Math.max(last[i], first[i] + 1);
    });
    let far = -Infinity;
    for (const i of order(first)) {
      if (first[i] >= far) {
        const values = { start: starts[i], end: ends[i], first: first[i], last: last[i], rank: ranks[i], weight: 0 };
        for (const name of COLUMNS) areas[name].push(values[name]);
      } else {
        const at = areas.start.length - 1;
        areas.start[at] = Math.min(areas.start[at], starts[i]);
        areas.end[at] = Math.max(areas.end[at], ends[i]);
        areas.first[at] = Math.min(areas.first[at], first[i]);
        areas.last[at] = Math.max(areas.last[at], last[i]);
        areas.rank[at] = Math.min(areas.rank[at], ranks[i]);
      }
      far = Math.max(far, last[i]);
    }
    areas.weight = lengthsOf(areas).map((length) => length * weight);
    return areas;
  }

  function areasFromClips(clips, times, duration, settings) {
    clips = clips.filter((clip) => clip.start < duration);
    const [start, end] = cutSpans(clips, duration);
    const rank = rankClips(clips);
    const [p1, p2] = ["P1", "P2"].map((priority) => {
      const places = where(clips, (clip) => clip.priority === priority);
      const weight = priority === "P1" ? settings.p1_weight : settings.p2_weight;
      return areasFromSpans(take(start, places), take(end, places), take(rank, places), weight, times);
    });
    if (!p1.start.length || !p2.start.length) return p1.start.length ? p1 : p2;
    return joined(p1, within(p2, outside(p1, times, duration)));
  }

  function within(areas, other) {
    const parts = columns(() => []);
    areas.first.forEach((first, mine) => {
      const begin = search(other.last, first, true);
      const end = search(other.first, areas.last[mine]);
      const density = areas.weight[mine] / Math.max(areas.end[mine] - areas.start[mine], TINY);
      for (let its = begin; its < end; its++) {
        const start = Math.max(areas.start[mine], other.start[its]);
        const stop = Math.min(areas.end[mine], other.end[its]);
        parts.start.push(start);
        parts.end.push(stop);
        parts.first.push(Math.max(first, other.first[its]));
        parts.last.push(Math.min(areas.last[mine], other.last[its]));
        parts.weight.push(Math.max(stop - start, TINY) * density);
        parts.rank.push(areas.rank[mine]);
      }
    });
    return parts;
  }

  function joined(areas, waiting) {
    const both = columns((name) => [...areas[name], ...waiting[name]]);
    both.rank = [...areas.rank, ...waiting.rank.map(() => -1)];
    const places = order(both.first);
    return columns((name) => take(both[name], places));
  }

  function cut(areas, length, times) {
    const [start, end] = [[], []];
    frames(areas).forEach((most, i) => {
      const parts = Math.min(Math.ceil((areas.end[i] - areas.start[i]) / Math.max(length, TINY)), most);
      const edges = divide(areas.start[i], areas.end[i], Math.max(parts, 1));
      start.push(...edges.slice(0, -1));
      end.push(...edges.slice(1));
    });
    return within(areasFromSpans(start, end, start.map(() => 0), 1, times), areas);
  }

  function outside(areas, times, duration) {
    const gaps = columns(() => []);
    gaps.first = [0, ...areas.last];
    gaps.last = [...areas.first, times.length];
    gaps.start = [0, ...areas.end];
    gaps.end = [...areas.start, duration];
    gaps.weight = lengthsOf(gaps);
    gaps.rank = gaps.first.map(() => 0);
    const kept = where(gaps.first, (first, i) => first < gaps.last[i]);
    return columns((name) => take(gaps[name], kept));
  }

  function shareRanked(k, areas) {
    const counts = areas.rank.map(() => 0);
    const ranked = where(areas.rank, (rank) => rank >= 0);
    const places = take(middles(areas), ranked);
    const worth = ranked.map((i) => -areas.rank[i]);
    for (const best of chooseBest(worth, places, Math.min(k, ranked.length))) counts[ranked[best]] = 1;
    const missing = k - sum(counts);
    if (!missing) return counts;
    const total = sum(areas.weight);
    const wanted = areas.weight.map((weight, i) => Math.max((k * weight) / total - counts[i], 0));
    const room = frames(areas).map((most, i) => most - counts[i]);
    const more = shareByRemainder(missing, wanted, areas.weight, room, middles(areas));
    return counts.map((count, i) => count + more[i]);
  }

  function shareEven(k, areas) {
    const counts = areas.rank.map(() => 0);
    if (!k) return counts;
    const ends = accumulate(areas.weight, (a, b) => a + b);
    const stride = ends[ends.length - 1] / k;
    for (const i of range(k)) counts[Math.min(search(ends, (i + 0.5) * stride, true), ends.length - 1)] += 1;
    const most = frames(areas);
    counts.forEach((count, i) => (counts[i] = Math.min(count, most[i])));
    const room = most.map((value, i) => value - counts[i]);
    const more = shareByRemainder(k - sum(counts), areas.weight, areas.weight, room, middles(areas));
    return counts.map((count, i) => count + more[i]);
  }

  function hedge(clips, k, times, duration, settings) {
    const areas = areasFromClips(clips, times, duration, settings);
    const count = areas.start.length;
    const length = count ? sum(areas.end.map((end, i) => end - areas.start[i])) / count : duration / k;
    const rest = cut(outside(areas, times, duration), length, times);
    const [start, end] = cutSpans(clips, duration);
    const chances = areas.start.map((from, area) =>
      clips.reduce((best, clip, i) => {
        const meets = start[i] < areas.end[area] && end[i] > from;
        return meets ? Math.max(best, clip.score === null ? 0 : clip.score) : best;
      }, 0),
    );
    const both = joined(areas, rest);
    const weights = [...chances, ...rest.start.map(() => settings.outside_chance)];
    const sorted = take(weights, order([...areas.first, ...rest.first]));
    const counts = spreadByCoverage(sorted, frames(both), k, lengthsOf(both), settings.decay);
    return place(both, counts, times);
  }

  // Indices into times, in each area at the middles of as many equal parts as it has frames.
  function place(areas, counts, times) {
    const chosen = [];
    let before = -Infinity;
    counts.forEach((size, area) => {
      for (let i = 0; i < size; i++) {
        const target = areas.start[area] + ((i + 0.5) / size) * (areas.end[area] - areas.start[area]);
        const onScreen = search(times, target, true) - 1;
        before = Math.max(onScreen, areas.first[area] + i, before + 1);
        chosen.push(Math.min(before, areas.last[area] - size + i));
      }
    });
    return chosen;
  }

  function allocate(clips, k, times, duration, { strategy, nearest, scenes, settings }) {
    k = Math.min(k, times.length);
    clips = clips.length ? clips : nearest;
    const used = resolve(strategy, clips, k, duration, settings);
    if (strategy === "auto" && isUnsure(clips, settings)) {
      return hedge(nearest.length ? nearest : clips, k, times, duration, settings).sort((a, b) => a - b);
    }
    let areas = areasFromClips(used === "uniform" ? [] : clips, times, duration, settings);
    if (!areas.start.length && strategy !== "uniform" && k >= scenes.length) {
      const [start, end] = [0, 1].map((side) => scenes.map((scene) => scene[side]));
      areas = areasFromSpans(start, end, start.map(() => 0), 1, times);
    }
    const inside = used === "hybrid" ? Math.max(1, rint(settings.dense_share * k)) : k;
    let counts = shareRanked(Math.min(inside, capacity(areas)), areas);
    const rest = outside(areas, times, duration);
    const missing = k - sum(counts);
    const around = shareEven(Math.min(missing, capacity(rest)), rest);
    if (missing > capacity(rest)) counts = shareRanked(k - capacity(rest), areas);
    return [...place(areas, counts, times), ...place(rest, around, times)].sort((a, b) => a - b);
  }

  function resolve(strategy, clips, k, duration, settings) {
    if (!clips.length) return "uniform";
    if (strategy !== "auto") return strategy;
    if (isUnsure(clips, settings)) return "hybrid";
    const spreads = covered(clips, duration) > settings.spread_over * duration;
    return k <= settings.focused_up_to && !spreads ? "focused" : "hybrid";
  }

  function isUnsure(clips, settings) {
    return clips.length > 0 && clips.every((clip) => clip.score !== null && clip.score < settings.unsure_below);
  }

  function covered(clips, duration) {
    const [start, end] = cutSpans(clips, duration);
    const places = order(start);
    const far = rising(take(end, places));
    const before = [0, ...far];
    return sum(places.map((place, i) => Math.max(far[i] - Math.max(start[place], before[i]), 0)));
  }

  // ---- cheap_frames.py

  function snapToIFrames(chosen, edges, times, needed, duration) {
    const at = take(times, chosen);
    const walls = [...new Set([0, ...edges.filter((edge) => edge > 0 && edge < duration), duration])];
    walls.sort((a, b) => a - b);
    const stretches = at.map((time, i) => {
      const wall = search(walls, time, true);
      const low = Math.max(i ? middle(time, at[i - 1]) : 0, walls[wall - 1]);
      const high = Math.min(i + 1 < at.length ? middle(at[i + 1], time) : duration, walls[wall]);
      const exact = chosen[i];
      const end = exact + 1 < times.length ? times[exact + 1] : duration;
      const stays = end > walls[wall] + NANOSECOND && walls[wall] < duration;
      const [first, last] = stays ? [exact, exact + 1] : [search(times, low), search(times, high)];
      return { target: time, exact, first, last, length: high - low };
    });
    return chooseCheap(stretches, times, needed);
  }

  function chooseCheap(stretches, times, needed) {
    const iFrames = where(needed, (packets) => packets === 1);
    const chosen = stretches.map(({ exact }) => exact);
    if (!iFrames.length) return chosen;
    const moments = take(times, iFrames);
    const nearest = stretches.map((stretch) => nearestIFrame(stretch, moments, iFrames));
    nearest.forEach((frame, i) => (chosen[i] = frame === null ? chosen[i] : frame));
    const scarce = nearest.filter((frame) => frame !== null).length / nearest.length <= SCARCE;
    for (let i = stretches.length - 1; i >= 0; i--) {
      if (nearest[i] !== null) continue;
      const { exact, first, last, length } = stretches[i];
      let at = exact;
      if (!scarce && i + 1 < chosen.length) {
        const earliest = times[chosen[i + 1]] - REACH * length - NANOSECOND;
        at = Math.min(at, Math.max(first, search(times, earliest)));
      }
      const end = Math.max(Math.min(last, search(times, times[at] + BEHIND * length, true)), at + 1);
      chosen[i] = at;
      for (let frame = at; frame < end; frame++) if (needed[frame] < needed[chosen[i]]) chosen[i] = frame;
    }
    return chosen;
  }

  function nearestIFrame({ target, first, last }, moments, iFrames) {
    const place = search(moments, target);
    const away = [place - 1, place].map((at) => {
      const frame = iFrames[at];
      return frame === undefined || frame < first || frame >= last ? Infinity : Math.abs(moments[at] - target);
    });
    if (away[0] === Infinity && away[1] === Infinity) return null;
    return away[0] <= away[1] + 4 * NANOSECOND ? iFrames[place - 1] : iFrames[place];
  }

  // ---- keyframes.py

  function layEndToEnd(time, spans) {
    const before = accumulate([0, ...spans.map(([start, end]) => end - start)], (a, b) => a + b);
    const place = search(spans.map(([start]) => start), time, true) - 1;
    return before[place] + time - spans[place][0];
  }

  // The indices, and the strategy that was used.
  function allocateWithin(film, k, strategy) {
    let { clips, nearest, scenes } = film;
    const { spans, times, duration, settings } = film;
    let [clock, length, pool] = [times, duration, null];
    if (spans.length) {
      pool = where(times, (time) => spans.some(([start, end]) => start <= time && time < end));
      if (pool.length < k) {
        const around = spans.map(([start, end]) => ({ start, end, priority: "P1", score: null }));
        const plain = { strategy: "focused", nearest: [], scenes: [], settings };
        const used = resolve(strategy, clips.length ? clips : nearest, k, length, settings);
        return [allocate(around, k, times, duration, plain), used];
      }
      clock = pool.map((rank) => layEndToEnd(times[rank], spans));
      length = accumulate(spans.map(([start, end]) => end - start), (a, b) => a + b)[spans.length - 1];
      [clips, nearest] = [layClips(clips, spans), layClips(nearest, spans)];
      scenes = scenes.map(([start, end]) => {
        const at = layEndToEnd(start, spans);
        return [at, at + end - start];
      });
    }
    const chosen = allocate(clips, k, clock, length, { strategy, nearest, scenes, settings });
    const used = resolve(strategy, clips.length ? clips : nearest, k, length, settings);
    return [pool ? take(pool, chosen) : chosen, used];
  }

  function layClips(clips, spans) {
    return clips.map((clip) => {
      const start = layEndToEnd(clip.start, spans);
      return { ...clip, start, end: start + (clip.end - clip.start) };
    });
  }

  /**
   * Choose the frames for one k: indices into film.times, rising, and the strategy that was used.
   * film: clips and nearest ({start, end, priority, score}), scenes and spans ([start, end]), times, needed (packets of
   * each frame), duration, settings (of Allocation), exact.
   */
  function chooseFrames(film, k, strategy) {
    const { clips, nearest, scenes, spans, times, needed, duration } = film;
    const [chosen, used] = allocateWithin(film, k, strategy);
    if (film.exact) return [chosen, used];
    const shared = used === "uniform" ? [] : [...clips, ...nearest];
    const edges = [...spans.flat(), ...shared.flatMap((clip) => [clip.start, clip.end])];
    if (!shared.length && strategy !== "uniform" && k >= scenes.length) edges.push(...scenes.flat());
    return [snapToIFrames(chosen, edges, times, needed, duration), used];
  }

  return { chooseFrames };
})();

if (typeof module !== "undefined") module.exports = kframesAllocation;
