// Runs the report's allocation on films read from stdin, for every k of 1..64; writes the indices to stdout.
"use strict";
const { chooseFrames } = require(process.argv[2]);
const films = JSON.parse(require("fs").readFileSync(0, "utf8"));
const ks = Array.from({ length: 64 }, (_, i) => i + 1);
const found = films.map(({ film, strategies }) => strategies.map((s) => ks.map((k) => chooseFrames(film, k, s))));
process.stdout.write(JSON.stringify(found));
