"""How the page of `augspec explain` looks, in light and dark, on wide and narrow windows."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --ink: #1a1a1a; --soft: #5c6168; --line: #cfd3d9; --card: #f6f7f9;
  --cell: #fdfdfd; --red: #b2182b; --blue: #2166ac; --off: #e9ebee;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14161a; --ink: #e9ebee; --soft: #a2a8b0; --line: #41474f; --card: #1d2025;
    --cell: #191c20; --red: #d03a49; --blue: #2f7cc4; --off: #2b2f36;
  }
}
* { box-sizing: border-box; }
body {
  font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: var(--ink); background: var(--page);
  max-width: 80rem; margin: 0 auto; padding: 2rem clamp(.8rem, 3vw, 2.5rem) 3rem;
}
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 {
  font-size: 1.3rem; margin: 2.6rem 0 .6rem; padding-top: 1rem;
  border-top: 1px solid var(--line);
}
h3 { font-size: 1rem; margin: 1.6rem 0 .5rem; }
h2 small, h3 small {
  font-weight: normal; color: var(--soft); font-size: .85rem; margin-left: .6em;
}
p { margin: .5rem 0; max-width: 48rem; }
a { color: var(--blue); }
code, pre { font: .88em/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
pre {
  background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  padding: .8rem 1rem; overflow-x: auto;
}
.note { color: var(--soft); font-size: .87rem; }
.note code { overflow-wrap: anywhere; }
figure { margin: 0; }
figcaption { font-size: .82rem; line-height: 1.35; margin-top: .35rem; overflow-wrap: anywhere; }
img { display: block; max-width: 100%; }
.small { image-rendering: pixelated; }
.pair { display: flex; flex-wrap: wrap; gap: 1.5rem; }
.pair figure { flex: 0 1 320px; }
.pair img { width: 320px; max-width: 100%; height: auto; outline: 1px solid var(--line); }

.film {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(8.6rem, 1fr)); gap: 1.2rem 1.7rem;
}
.film .frame { aspect-ratio: 1 / var(--tall); position: relative; }
.film figure + figure .frame::before {
  content: "→"; position: absolute; left: -1.45rem; top: calc(50% - .75rem); color: var(--soft);
}
.film img {
  width: 100%; height: 100%; object-fit: contain; object-position: left bottom;
}
.film span { display: block; color: var(--soft); }
.film .idle img { opacity: .22; }
.film .idle b { color: var(--soft); font-weight: normal; }

.strip { display: flex; flex-wrap: wrap; align-items: flex-end; gap: 1.1rem .5rem; }
.op { max-width: 100%; min-width: 5.8rem; }
.op > b {
  display: block; width: 0; min-width: 100%; font-size: .78rem; line-height: 1.25;
  border-bottom: 2px solid var(--ink); padding-bottom: .15rem; margin-bottom: .3rem;
  overflow-wrap: anywhere;
}
.op.idle > b { color: var(--soft); font-weight: normal; border-bottom: 1px solid var(--line); }
.slots { display: flex; flex-wrap: wrap; align-items: flex-end; row-gap: .7rem; }
.slot { flex: 1 1 auto; max-width: 100%; font-size: .76rem; line-height: 1.3; text-align: center; }
.slot .name, .slot .drawn { padding: 0 .3rem; }
.slot .drawn { color: var(--soft); min-height: 1.3em; }
.slot .wraps { width: 0; min-width: 100%; }
.cells { display: flex; }
.op.full, .slot.many { width: 100%; }
.many .cells { display: grid; grid-template-columns: repeat(auto-fill, minmax(2.45rem, 1fr)); }
.cell { flex: 1 1 2.45rem; min-width: 2.45rem; font-variant-numeric: tabular-nums; }
.cell i {
  display: block; font-style: normal; height: 2.1rem; line-height: 2.1rem; margin-left: -1px;
  border: 1px solid var(--line); background: var(--cell);
}
.cell.zero i { color: var(--line); }
.cell.off i {
  color: transparent;
  background: repeating-linear-gradient(-45deg, var(--cell) 0 4px, var(--off) 4px 8px);
}
.cell.up i { background: color-mix(in srgb, var(--red) calc(var(--s) * 100%), var(--cell)); }
.cell.down i { background: color-mix(in srgb, var(--blue) calc(var(--s) * 100%), var(--cell)); }
.cell.strong i { color: #fff; }
.cell small { display: block; height: 1.4em; font-size: .95em; color: var(--soft); }
.jumps .cell i { border-bottom: 3px double var(--soft); }
.still .cell i { border-bottom: 3px dotted var(--soft); }
.all { display: flex; flex-wrap: wrap; gap: .35rem .45rem; margin: .6rem 0 1.2rem; }
.all div { display: flex; }
.all i {
  width: 9px; height: 15px; margin-left: -1px; border: 1px solid var(--line);
  background: var(--cell);
}
.all i.up { background: color-mix(in srgb, var(--red) calc(var(--s) * 100%), var(--cell)); }
.all i.down { background: color-mix(in srgb, var(--blue) calc(var(--s) * 100%), var(--cell)); }
.all i.off { background: var(--off); }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.3rem; align-items: center; margin: .9rem 0; }
.legend span { display: inline-flex; gap: .45em; align-items: center; }
.legend i { display: inline-block; width: 1.5rem; height: 1rem; border: 1px solid var(--line); }
.legend .scale {
  width: 7rem; background: linear-gradient(90deg, var(--blue), var(--cell), var(--red));
}
.legend .off {
  background: repeating-linear-gradient(-45deg, var(--cell) 0 4px, var(--off) 4px 8px);
}
.legend .jump { border-bottom: 3px double var(--soft); }
.legend .stop { border-bottom: 3px dotted var(--soft); }

table { border-collapse: collapse; width: 100%; font-size: .85rem; margin: .4rem 0; }
th { text-align: left; font-weight: 600; vertical-align: bottom; }
thead th { color: var(--soft); font-weight: normal; padding: .2rem .8rem .2rem 0; }
tbody th { padding: .7rem 0 .25rem; border-bottom: 1px solid var(--line); }
tbody th span { font-weight: normal; color: var(--soft); margin-left: .5em; }
td { padding: .3rem .8rem .3rem 0; vertical-align: top; border-bottom: 1px solid var(--line); }
td small { color: var(--soft); display: block; font-size: .92em; }
td.n { font-variant-numeric: tabular-nums; }
.nothing td { color: var(--soft); }
details { margin: .8rem 0; }
summary { cursor: pointer; color: var(--blue); }
dl {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr));
  gap: .9rem 1.6rem; margin: .8rem 0;
}
dl div {
  background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  padding: .7rem .9rem;
}
dt { font-weight: 600; }
dd { margin: .2rem 0 0; font-size: .92rem; }
@media (max-width: 46rem) {
  thead { display: none; }
  table, tbody, tr, td, tbody th { display: block; width: 100%; }
  tr { border-bottom: 1px solid var(--line); padding: .35rem 0; }
  td { border: 0; padding: .1rem 0 .1rem 7.5rem; position: relative; min-height: 1.5em; }
  td::before { content: attr(data-of); position: absolute; left: 0; color: var(--soft); }
  dl { grid-template-columns: 1fr; }
  .film { grid-template-columns: repeat(auto-fill, minmax(6.5rem, 1fr)); gap: 1rem; }
  .film figure + figure .frame::before { content: none; }
}
@media print { body { max-width: none; padding: 0; } h2 { break-before: auto; } }
""".strip()
