"""The style sheet of `report.html`: light and dark, on screen and on paper."""

STYLE = """
:root { --bg: #fff; --fg: #1b1f24; --dim: #59636e; --line: #d5dae0; --soft: #f4f6f8;
  --green: #1a7f37; --red: #c62828; --yellow: #9a6700; --c1: #0969da; --c2: #bc4c00; --c3: #8250df; --c4:
  #1a7f37; }
@media (prefers-color-scheme: dark) { :root { --bg: #0f1318; --fg: #e6e9ed; --dim: #9aa4af; --line: #333b45;
  --soft: #1a2027; --green: #3fb950; --red: #ff6b63; --yellow: #d9a72b; --c1: #58a6ff; --c2: #f0883e; --c3:
  #bc8cff; --c4: #3fb950; } }
body { margin: 0; background: var(--bg); color: var(--fg); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem; }
h1 { margin: 0; font-size: 1.9rem; letter-spacing: .02em; } h2 { margin: 2rem 0 .6rem; font-size: 1.25rem; }
h3 { margin: 1.2rem 0 .3rem; font-size: 1rem; } p { margin: .4rem 0; } .big { font-size: 1.15rem; } .dim {
color: var(--dim); } .v { border-left: .5rem solid; padding: .6rem 1.2rem; background: var(--soft);
border-radius: .3rem; } .v.green { border-color: var(--green); } .v.red { border-color: var(--red); }
.v.yellow { border-color: var(--yellow); } .green h1 { color: var(--green); } .red h1 { color: var(--red); }
.yellow h1 { color: var(--yellow); } .tiles { display: flex; flex-wrap: wrap; gap: .5rem; } .tile {
background: var(--soft); border-radius: .3rem; padding: .4rem .8rem; min-width: 6.5rem; } .tile b { display:
block; font-size: 1.2rem; } .tile span { color: var(--dim); font-size: .85rem; } .tile.bad b { color:
var(--red); } table { border-collapse: collapse; width: 100%; font-size: .9rem; } th, td { text-align: left;
padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; } .badge {
font-weight: 600; } .badge.green { color: var(--green); } .badge.red { color: var(--red); } .badge.yellow {
color: var(--yellow); } code, pre { font: .85rem/1.4 ui-monospace, monospace; overflow-wrap: anywhere; } pre
{ background: var(--soft); padding: 1rem;
  overflow: auto; border-radius: .3rem; }
details { margin: .3rem 0; } summary { cursor: pointer; } .frames td:first-child { white-space: nowrap; }
figure { margin: 0; } svg { width: 100%; height: auto; }
svg polyline { fill: none; stroke-width: 1.8; } svg .c1 { stroke: var(--c1); } svg .c2 { stroke: var(--c2); }
svg .c3 { stroke: var(--c3); } svg .c4 { stroke: var(--c4); } svg .g { stroke: var(--line); } svg .p {
stroke: var(--dim);
  stroke-dasharray: 3 3; } svg .t { fill: var(--dim); font-size: 11px; } svg .e { text-anchor: end; } svg .m
  { text-anchor: middle; }
svg .f { fill: var(--yellow); opacity: .18; }
svg .s { fill: var(--red); opacity: .12; } svg .l { fill: var(--dim); }
.k { margin-right: 1rem; font-size: .85rem; } .k.c1 { color: var(--c1); } .k.c2 { color: var(--c2); } .k.c3
{ color: var(--c3); } .k.c4 { color: var(--c4); } @media print { details { break-inside: avoid; } main {
max-width: none; padding: 0; } }
"""
