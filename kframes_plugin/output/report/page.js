"use strict";
// The page of a report: strip, slider, frames, viewer. Everything from outside is put in as text, never as HTML.

(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const STEPS = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
  const data = JSON.parse(document.getElementById("data").textContent);
  const find = (selector, root = document) => root.querySelector(selector);
  const controls = find("#controls");
  const slider = find("#k");
  const viewer = find("#viewer");
  const player = find("video", viewer);
  const grid = find("#frames");
  const own = [...grid.querySelectorAll("img")].map((image) => image.getAttribute("src"));
  const film = data.film;
  // Seconds by which a picture of the same scene may stand in for one that the page does not hold.
  const near = Math.max(2, film.duration / 600);
  const state = { mode: "asked", frames: [], open: -1, playable: false };

  // ---- small things

  function make(name, { text, className, ...rest } = {}, ...children) {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    for (const [key, value] of Object.entries(rest)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  function draw(name, attributes, text) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  }

  function clock(seconds, digits = 1) {
    const tenths = Math.round(seconds * 10);
    const [hours, minutes, rest] = [Math.floor(tenths / 36000), Math.floor(tenths / 600) % 60, tenths % 600];
    const head = hours ? `${hours}:${String(minutes).padStart(2, "0")}` : `${minutes}`;
    const tail = digits ? `.${rest % 10}` : "";
    return `${head}:${String(Math.floor(rest / 10)).padStart(2, "0")}${tail}`;
  }

  function unpackRuns(runs) {
    const values = [];
    for (let i = 0; i < runs.length; i += 2) for (let n = 0; n < runs[i + 1]; n++) values.push(runs[i]);
    return values;
  }

  async function unpackCounts(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const whole = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const view = new DataView(await new Response(whole).arrayBuffer());
    let count = 0;
    return Array.from({ length: view.byteLength / 4 }, (_, i) => (count += view.getInt32(4 * i, true)));
  }

  // The last of rising values that is not above one; -1 where all are.
  function lastUpTo(values, value) {
    let [low, high] = [0, values.length];
    while (low < high) {
      const place = (low + high) >> 1;
      if (values[place] <= value) low = place + 1;
      else high = place;
    }
    return low - 1;
  }

  // ---- what the page knows

  async function unpackFilm() {
    film.pictures = new Map(data.pictures.map(([time, url]) => [time, url]));
    data.frames.forEach((frame, i) => film.pictures.set(frame.time, own[i]));
    film.kept = [...film.pictures.keys()].sort((a, b) => a - b);
    if (film.clock) {
      let tick = 0;
      const { ticks, gaps, seconds } = film.clock;
      film.times = seconds || [0, ...unpackRuns(gaps).map((gap) => (tick += gap) / ticks)];
      film.needed = await unpackCounts(film.needed);
    }
  }

  const said = new Map(data.frames.map((frame) => [frame.time, frame.said]));

  // { url, time } of the frame's own picture, or of one near it in the same scene; null where the page holds none.
  function pictureAt(time) {
    if (film.pictures.has(time)) return { url: film.pictures.get(time), time };
    const place = lastUpTo(film.kept, time);
    const others = [film.kept[place], film.kept[place + 1]].filter(
      (other) => other !== undefined && Math.abs(other - time) <= near && sceneOf(other) === sceneOf(time),
    );
    if (!others.length) return null;
    const best = others.reduce((a, b) => (Math.abs(a - time) <= Math.abs(b - time) ? a : b));
    return { url: film.pictures.get(best), time: best };
  }

  const starts = film.scenes.map(([start]) => start);
  const sceneOf = (time) => lastUpTo(starts, time);

  // Place in film.clips of the best clip that a frame shows, -1 where it shows none.
  function clipOf(time) {
    const inside = film.clips.findIndex((clip) => clip.start <= time && time < clip.end);
    if (inside >= 0 || !film.times) return inside;
    const next = film.times[lastUpTo(film.times, time) + 1];
    const end = next === undefined ? film.duration : next;
    return film.clips.findIndex((clip) => time < clip.end && clip.start < end);
  }

  function chooseTimes(k, mode) {
    if (mode === "asked" && k === data.k) return data.frames.map((frame) => frame.time);
    const [chosen] = kframesAllocation.chooseFrames(film, k, mode === "asked" ? film.strategy : mode);
    return chosen.map((rank) => film.times[rank]);
  }

  const chosen = () => ({ asked: chooseTimes(state.k, "asked"), uniform: chooseTimes(state.k, "uniform") });

  // ---- the strip

  const strip = find("#film");

  function drawStrip(times) {
    const width = Math.max(280, strip.clientWidth);
    const left = width < 640 ? 2 : 84;
    const scale = (width - left - 6) / film.duration;
    const at = (seconds) => left + seconds * scale;
    const svg = draw("svg", { role: "img", "aria-label": describeStrip() });
    let top = 2;
    const name = (text, y, on) => {
      if (left > 2) svg.append(draw("text", { x: 0, y, class: on ? "name on" : "name" }, text));
    };
    if (film.curve.length) {
      const ridge = ridgePath(at, top, 54);
      const ground = `L${at(film.duration)} ${top + 54} L${at(0)} ${top + 54} Z`;
      svg.append(draw("path", { d: ridge + ground, class: "curve" }), draw("path", { d: ridge, class: "ridge" }));
      name("relevance", top + 36);
      top += 62;
    }
    const box = (start, end, y, height, className, radius = 0) => {
      const thin = Math.max(0, 3 - (end - start) * scale) / 2;
      const attributes = { x: at(start) - thin, y, width: (end - start) * scale + 2 * thin, height, rx: radius };
      svg.append(draw("rect", { ...attributes, class: className }));
    };
    if (film.clips.length) {
      const best = film.clips.map((clip) => clip).sort((a, b) => (a.priority < b.priority ? 1 : -1));
      for (const clip of best) box(clip.start, clip.end, top, 22, clip.priority, 3);
      name("clips", top + 15);
      top += 30;
    }
    film.scenes.forEach(([start, end], i) => box(start, end, top, 8, i % 2 ? "scene other" : "scene"));
    if (film.scenes.length) {
      name("scenes", top + 9);
      top += 18;
    }
    for (const [mode, label] of [["asked", "kframes"], ["uniform", "uniform"]]) {
      if (!times[mode]) continue;
      const row = draw("g", { class: mode === state.mode ? "marks" : "marks resting" });
      for (const time of times[mode]) {
        const className = (film.clips[clipOf(time)] || { priority: "none" }).priority;
        row.append(draw("rect", { x: at(time) - 1.5, y: top, width: 3, height: 18, rx: 1.5, class: className }));
      }
      svg.append(draw("line", { x1: left, x2: width - 6, y1: top + 9, y2: top + 9, class: "base" }), row);
      name(label, top + 13, mode === state.mode);
      top += 25;
    }
    drawAxis(svg, at, top, width);
    svg.setAttribute("viewBox", `0 0 ${width} ${top + 22}`);
    svg.setAttribute("height", top + 22);
    strip.replaceChildren(svg);
    follow(svg, left, scale, top, at);
  }

  function drawAxis(svg, at, top, width) {
    const most = width < 640 ? 4 : 9;
    const step = STEPS.find((each) => film.duration / each <= most) || STEPS[STEPS.length - 1];
    svg.append(draw("line", { x1: at(0), x2: at(film.duration), y1: top + 2, y2: top + 2, class: "tick" }));
    for (let time = 0; time <= film.duration; time += step) {
      const anchor = at(time) < 20 ? "start" : at(time) > width - 24 ? "end" : "middle";
      svg.append(draw("line", { x1: at(time), x2: at(time), y1: top + 2, y2: top + 6, class: "tick" }));
      svg.append(draw("text", { x: at(time), y: top + 19, "text-anchor": anchor }, clock(time, step < 1)));
    }
  }

  function ridgePath(at, top, height) {
    const points = film.curve.flatMap(([start, end, score]) => {
      const y = top + height * (1 - score / film.curve_top);
      return [`${at(start)} ${y}`, `${at(end)} ${y}`];
    });
    return `M${points.join(" L")} `;
  }

  function describeStrip() {
    const spans = film.clips.slice(0, 20).map((c) => `${c.priority} from ${clock(c.start)} to ${clock(c.end)}`);
    return `The video, ${clock(film.duration)} long. ${spans.length ? `Clips: ${spans.join("; ")}.` : "No clips."}`;
  }

  // The picture under the pointer; a click opens the nearest frame.
  function follow(svg, left, scale, bottom, at) {
    const line = draw("line", { y1: 0, y2: bottom, class: "here", visibility: "hidden" });
    const peek = make("div", { className: "peek", hidden: "" });
    svg.append(line);
    strip.append(peek);
    const timeAt = (event) => {
      const seconds = (event.clientX - svg.getBoundingClientRect().left - left) / scale;
      return Math.min(Math.max(seconds, 0), film.duration * (1 - 1e-9));
    };
    svg.addEventListener("pointermove", (event) => {
      const time = timeAt(event);
      line.setAttribute("x1", at(time));
      line.setAttribute("x2", at(time));
      line.setAttribute("visibility", "visible");
      showPeek(peek, time, at(time), bottom);
    });
    svg.addEventListener("pointerleave", () => {
      line.setAttribute("visibility", "hidden");
      peek.hidden = true;
    });
    svg.addEventListener("click", (event) => {
      const away = state.frames.map((time) => Math.abs(time - timeAt(event)));
      show(away.indexOf(Math.min(...away)));
    });
  }

  function showPeek(peek, time, x, bottom) {
    const picture = pictureAt(time);
    const clip = film.clips[clipOf(time)];
    const words = clip ? `${clock(time)}, clip ${film.clips.indexOf(clip) + 1}, ${clip.priority}` : clock(time);
    peek.replaceChildren(...(picture ? [make("img", { src: picture.url, alt: "" })] : []), words);
    peek.hidden = false;
    peek.style.top = `${bottom + 26}px`;
    peek.style.left = `${Math.min(Math.max(x - 84, 0), Math.max(0, strip.clientWidth - 168))}px`;
  }

  // ---- the frames

  const DENSITIES = [[4, "few"], [12, ""], [32, "many"], [Infinity, "most"]];

  function drawFrames() {
    grid.className = DENSITIES.find(([most]) => state.frames.length <= most)[1];
    const before = grid.contains(document.activeElement);
    grid.replaceChildren(...state.frames.map(makeCard));
    if (before) find("button", grid).focus();
  }

  function makeCard(time, place) {
    const picture = pictureAt(time);
    const [name, kind] = nameClip(time);
    const button = make("button", { type: "button", "aria-label": `Frame ${place + 1} at ${clock(time)}, ${name}` });
    button.append(
      picture ? make("img", { src: picture.url, alt: "", loading: "lazy" })
        : make("span", { className: "absent", text: "not stored in this page" }),
    );
    button.addEventListener("click", () => show(place));
    const time_ = make("b", { text: clock(time) });
    return make("figure", { "data-time": time }, button, make("figcaption", {}, time_, make("span", { className: `tag ${kind}`, text: name })));
  }

  function nameClip(time) {
    const place = clipOf(time);
    return place < 0 ? ["outside", "none"] : [`clip ${place + 1}`, film.clips[place].priority];
  }

  function tally(times) {
    if (!film.clips.length) return [`${state.frames.length} frames`];
    const inside = (list) => `${list.filter((time) => clipOf(time) >= 0).length} of ${list.length}`;
    const words = ["In the clips: ", "kframes ", inside(times.asked), ", uniform ", inside(times.uniform)];
    return words.map((word, i) => (i % 2 ? word : i ? make("b", { text: word }) : word));
  }

  function update() {
    const k = Number(slider.value);
    state.k = k;
    const times = chosen();
    state.frames = times[state.mode];
    find("#count").textContent = k;
    slider.setAttribute("aria-valuetext", `${k} frames`);
    find("#tally").replaceChildren(...tally(times));
    drawStrip(times);
    drawFrames();
  }

  // ---- the viewer

  function show(place) {
    state.open = Math.min(Math.max(place, 0), state.frames.length - 1);
    if (state.frames.length) view(state.frames[state.open]);
  }

  function view(time) {
    const picture = pictureAt(time);
    stop();
    state.time = time;
    const image = find("img", viewer);
    image.hidden = !picture;
    if (picture) {
      image.src = picture.url;
      image.alt = `The video at ${clock(picture.time)}`;
    }
    find("#viewer-title").textContent = `${clock(time)}`;
    find(".lines", viewer).replaceChildren(...linesOf(time, picture));
    for (const button of viewer.querySelectorAll("[data-move]")) {
      const next = state.open + Number(button.dataset.move);
      button.disabled = state.open < 0 || next < 0 || next >= state.frames.length;
    }
    find("[data-play]", viewer).hidden = !state.playable;
    if (viewer.open) return;
    viewer.showModal();
    find("[data-close]", viewer).focus();
  }

  function linesOf(time, picture) {
    const clip = film.clips[clipOf(time)];
    const lines = [];
    const number = state.open < 0 ? "" : `Frame ${state.open + 1} of ${state.frames.length}. `;
    if (clip) {
      const [name, kind] = nameClip(time);
      const words = ` ${clock(clip.start)} to ${clock(clip.end)}${clip.score === null ? "" : `, score ${clip.score.toFixed(2)}`}`;
      lines.push(make("p", {}, make("span", { className: `tag ${kind}`, text: `${name}, ${clip.priority}` }), words));
      if (clip.reason) lines.push(make("p", { text: clip.reason }));
    } else lines.push(make("p", { text: film.clips.length ? "Outside the clips." : "No clip was found for the query." }));
    if (said.get(time)) lines.push(make("p", { text: `Said: “${said.get(time)}”` }));
    const small = !said.has(time) && picture ? "A small picture: only the frames of the k you asked for are large. " : "";
    const other = picture && picture.time !== time ? `The picture shows ${clock(picture.time)}, nearby in the same scene.` : "";
    const none = picture ? "" : "This page has no picture of this frame.";
    lines.push(make("p", { className: "quiet", text: `${number}${small}${other}${none}` }));
    return lines;
  }

  function play(from, until = Infinity) {
    find("img", viewer).hidden = true;
    player.hidden = false;
    player.currentTime = from + film.offset;
    player.ontimeupdate = () => {
      if (player.currentTime >= until + film.offset) player.pause();
    };
    player.play().catch(() => {});
  }

  function stop() {
    player.pause();
    player.ontimeupdate = null;
    player.hidden = true;
  }

  function playClip(clip) {
    state.open = -1;
    view(clip.start);
    play(clip.start, clip.end);
  }

  // The video, if it lies beside the page: a name, never a place.
  function tryVideo() {
    if (!data.video) return;
    player.addEventListener("loadedmetadata", () => {
      if (!player.videoWidth) return;
      state.playable = true;
      for (const button of document.querySelectorAll("[data-clip]")) button.textContent = "Play";
    });
    player.preload = "metadata";
    player.src = encodeURIComponent(data.video);
  }

  function listen() {
    slider.addEventListener("input", update);
    controls.addEventListener("submit", (event) => event.preventDefault());
    for (const radio of controls.elements.mode) {
      radio.addEventListener("change", () => {
        state.mode = radio.value;
        update();
      });
    }
    viewer.addEventListener("click", (event) => {
      const { move, close, play: from } = event.target.dataset;
      if (move) show(state.open + Number(move));
      if (from !== undefined) play(state.time);
      if (close !== undefined || event.target === viewer) viewer.close();
    });
    viewer.addEventListener("close", () => {
      stop();
      const button = grid.querySelectorAll("button")[state.open];
      if (button) button.focus();
    });
    for (const button of document.querySelectorAll("[data-clip]")) {
      button.hidden = false;
      button.addEventListener("click", () => showClip(film.clips[Number(button.dataset.clip)]));
    }
    document.addEventListener("keydown", byKeyboard);
  }

  function showClip(clip) {
    if (state.playable) playClip(clip);
    else {
      const middle = (clip.start + clip.end) / 2;
      const away = state.frames.map((time) => (time >= clip.start && time < clip.end ? 0 : 1e9) + Math.abs(time - middle));
      show(away.indexOf(Math.min(...away)));
    }
  }

  // Left and right go from frame to frame, in the viewer and in the grid; Esc closes the viewer by itself.
  function byKeyboard(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey || (event.target === player && !player.hidden)) return;
    if (viewer.open) {
      if (state.open >= 0) show(state.open + step);
    } else if (grid.contains(event.target)) {
      const buttons = [...grid.querySelectorAll("button")];
      const next = buttons[buttons.indexOf(event.target) + step];
      if (next) next.focus();
    } else return;
    event.preventDefault();
  }

  async function begin() {
    await unpackFilm().catch(() => (film.times = null)); // a browser from before 2023: no slider
    const [first] = data.frames;
    if (first) grid.style.setProperty("--shape", `${first.width} / ${first.height}`);
    strip.hidden = false;
    listen();
    if (film.times) {
      controls.hidden = false;
      update();
    } else {
      state.frames = data.frames.map((frame) => frame.time);
      drawStrip({ asked: state.frames });
      drawFrames();
    }
    let width = strip.clientWidth;
    new ResizeObserver(() => {
      if (strip.clientWidth === width) return;
      width = strip.clientWidth;
      drawStrip(film.times ? chosen() : { asked: state.frames });
    }).observe(strip);
    tryVideo();
  }

  begin();
})();
