"""The look of the HTML report: one style sheet, light and dark."""

CSS = """
:root { color-scheme: light dark;
  --page: #f5f6f8; --card: #ffffff; --ink: #1a1d21; --soft: #5b6470; --rule: #e2e5ea; --grid: #eceff3;
  --accent: #2563eb; --good: #15803d; --warn: #c2410c; --bad: #b91c1c; --alarm: #ea580c;
  --c0: #2563eb; --c1: #0d9488; --c2: #9333ea; --c3: #d97706; --c4: #db2777; --c5: #65a30d; }
@media (prefers-color-scheme: dark) { :root {
  --page: #0f1216; --card: #181c22; --ink: #e8eaed; --soft: #9aa4b2; --rule: #2a3038; --grid: #232931;
  --accent: #7aa2ff; --good: #4ade80; --warn: #fdba74; --bad: #fca5a5; --alarm: #fb923c;
  --c0: #7aa2ff; --c1: #2dd4bf; --c2: #c084fc; --c3: #fbbf24; --c4: #f472b6; --c5: #a3e635; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 64px; }
header { margin-bottom: 24px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 16px; margin: 0 0 12px; }
h3 { font-size: 13px; margin: 20px 0 8px; color: var(--soft); font-weight: 600; }
p { margin: 0 0 8px; } .lead { color: var(--soft); overflow-wrap: anywhere; }
.note, .empty { color: var(--soft); font-size: 13px; }
a { color: var(--accent); }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 20px; margin: 16px 0; }
.chips { display: flex; flex-wrap: wrap; gap: 6px; margin: 12px 0 0; padding: 0; list-style: none; }
.chips li { background: var(--card); border: 1px solid var(--rule); border-radius: 999px; padding: 2px 12px;
  font-size: 13px; color: var(--soft); overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 12px; }
@media (max-width: 760px) { .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
.tile { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 14px 16px; min-width: 0; }
.tile b { display: block; font-size: 25px; line-height: 1.25; font-weight: 650; letter-spacing: -0.02em;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.tile b.long { font-size: 18px; line-height: 1.75; }
.tile span { color: var(--soft); font-size: 13px; } .tile small { color: var(--soft); font-size: 12px; display: block; }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
.shots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)); gap: 14px; }
.shots.wide { grid-template-columns: 1fr; }
figure { margin: 0; } figure img { width: 100%; display: block; border-radius: 8px; background: #000; }
figcaption { color: var(--soft); font-size: 12.5px; margin-top: 5px; overflow-wrap: anywhere;
  font-variant-numeric: tabular-nums; }
.chart { width: 100%; height: auto; display: block; overflow: visible; }
.chart text { fill: var(--soft); font-size: 12px; font-family: inherit; font-variant-numeric: tabular-nums; }
.grid { stroke: var(--grid); } .limit { stroke: var(--alarm); stroke-width: 1.5; stroke-dasharray: 6 4; }
.bound { fill: none; stroke: var(--alarm); stroke-width: 1.6; stroke-dasharray: 5 3; }
.key.dashed { background: none; border: 0; border-top: 2px dashed var(--alarm); height: 0; border-radius: 0; }
.status-ok { fill: var(--good); background: var(--good); }
.status-late { fill: var(--alarm); background: var(--alarm); }
.status-degraded { fill: var(--bad); background: var(--bad); }
.status-stale { fill: var(--ink); background: var(--ink); }
.status-skipped { fill: var(--soft); background: var(--soft); }
.chart .limit-label { fill: var(--alarm); font-weight: 600; paint-order: stroke;
  stroke: var(--card); stroke-width: 4px; }
.line { fill: none; stroke-width: 1.6; stroke-linejoin: round; } .skip { stroke: var(--soft); stroke-width: 2; }
.line0, .dot0 { stroke: var(--c0); } .line1, .dot1 { stroke: var(--c1); } .line2, .dot2 { stroke: var(--c2); }
.line3, .dot3 { stroke: var(--c3); } .line4, .dot4 { stroke: var(--c4); } .line5, .dot5 { stroke: var(--c5); }
circle { fill: var(--card); stroke-width: 2; } .alarm { stroke: var(--alarm); fill: var(--alarm); stroke-width: 0; }
.target { fill: transparent; stroke: none; } .target:hover { fill: var(--accent); fill-opacity: 0.35; }
.fill0 { fill: var(--c0); } .fill1 { fill: var(--c1); } .fill2 { fill: var(--c2); } .fill3 { fill: var(--c3); }
.fill4 { fill: var(--c4); } .fill5 { fill: var(--c5); } .span { fill-opacity: 0.8; } .span.none { fill: var(--rule); }
.chart .on-span { fill: #fff; font-weight: 600; paint-order: stroke; stroke: rgba(0,0,0,0.45); stroke-width: 3px; }
.keys { display: flex; flex-wrap: wrap; gap: 4px 18px; list-style: none; margin: 8px 0 0; padding: 0; font-size: 13px; }
.keys li { display: flex; align-items: center; gap: 7px; }
.key { width: 16px; height: 12px; border-radius: 3px; border: 1px solid rgba(128,128,128,0.5); flex: none; }
.key.line0 { background: var(--c0); } .key.line1 { background: var(--c1); } .key.line2 { background: var(--c2); }
.key.line3 { background: var(--c3); } .key.line4 { background: var(--c4); } .key.line5 { background: var(--c5); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 6px 10px; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { color: var(--soft); font-weight: 600; font-size: 12.5px; } tbody tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child { text-align: left; padding-left: 0; } td small { color: var(--soft); }
td.text { text-align: left; white-space: normal; overflow-wrap: anywhere; }
.bar { display: inline-block; vertical-align: middle; width: 140px; height: 8px; border-radius: 4px;
  background: var(--grid); margin-left: 10px; overflow: hidden; }
.bar i { display: block; height: 100%; background: var(--c0); border-radius: 4px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; margin: 0; font-size: 14px; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 16px; }
.two section { margin: 0; }
@media print { body { background: none; } section, .tile { break-inside: avoid; } }
"""
