/// The looks of a report. Light and dark follow the reader's system; every pair of text and ground has a contrast of at
/// least 4.5; nothing is fetched.
enum ReportStyle {
  /// Steps of the heat map's colours, `h0` the least.
  static let heatSteps = 8

  static let sheet = """
    :root {
      color-scheme: light dark;
      --paper: #ffffff; --panel: #f7f5f2; --ink: #1d1b18; --soft: #655f57; --rule: #e3ded7; --faint: #efebe5;
      --accent: #a4521a; --cool: #35659a; --bar: #bd8350; --pass: #1b7446; --fail: #b3261e; --plain: #655f57;
      --pass-ground: #eaf5ee; --fail-ground: #fcedeb; --plain-ground: #f4f1ed; --mark: #fbe3c4; --mark-ink: #3a2407;
      --h0: #fcf6ee; --h1: #f8e7cf; --h2: #f3d2a6; --h3: #ecb97c; --h4: #e29a57; --h5: #d07f3c; --h6: #974515; --h7: #66290b;
      --i0: #1d1b18; --i1: #1d1b18; --i2: #1d1b18; --i3: #1d1b18; --i4: #1d1b18; --i5: #1d1b18; --i6: #ffffff; --i7: #ffffff;
    }
    @media (prefers-color-scheme: dark) {
      :root {
        --paper: #161513; --panel: #1e1c19; --ink: #ece8e1; --soft: #a8a197; --rule: #36322c; --faint: #272420;
        --accent: #e9a066; --cool: #86b3e0; --bar: #8a5a34; --pass: #74cb9c; --fail: #f4928a; --plain: #a8a197;
        --pass-ground: #16281e; --fail-ground: #321917; --plain-ground: #23211d; --mark: #5b3a14; --mark-ink: #ffe9cc;
        --h0: #211e1b; --h1: #30261d; --h2: #432e1e; --h3: #5a3a1f; --h4: #764a21; --h5: #b87434; --h6: #dc9747; --h7: #f8c581;
        --i0: #ece8e1; --i1: #ece8e1; --i2: #ece8e1; --i3: #ece8e1; --i4: #ffffff; --i5: #161513; --i6: #161513; --i7: #161513;
      }
    }
    *, *::before, *::after { box-sizing: border-box; }
    html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
    body {
      margin: 0; background: var(--paper); color: var(--ink);
      font: 400 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
      overflow-wrap: anywhere;
    }
    main, .top > div, footer { max-width: 70rem; margin: 0 auto; padding: 0 clamp(1rem, 4vw, 2.5rem); }
    h1, h2, h3 { line-height: 1.25; letter-spacing: -0.012em; font-weight: 650; text-wrap: balance; }
    h1 { font-size: clamp(1.5rem, 1.1rem + 1.8vw, 2.1rem); margin: 0.35rem 0 0; }
    h2 { font-size: 1.3rem; margin: 0 0 0.35rem; }
    h3 { font-size: 1rem; margin: 0 0 0.15rem; letter-spacing: 0; }
    p { margin: 0 0 0.75rem; max-width: 44rem; }
    section { margin: 3.25rem 0 0; }
    section section { margin-top: 2.5rem; }
    a { color: inherit; text-decoration-color: var(--accent); text-underline-offset: 0.2em; }
    a:focus-visible, .scroll:focus-visible, summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px; }
    code, .mono { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", "DejaVu Sans Mono", monospace; font-size: 0.875em; }
    .soft { color: var(--soft); }
    .small { font-size: 0.875rem; }
    .number { font-variant-numeric: tabular-nums lining-nums; white-space: nowrap; }

    .top { padding: clamp(1.5rem, 5vw, 3rem) 0 0; }
    .kind { margin: 0; color: var(--soft); font-size: 0.875rem; }
    .verdict { display: flex; gap: 1rem; align-items: flex-start; margin: 1.5rem 0 0; padding: 1.1rem 1.25rem; border-radius: 0.75rem; max-width: none; }
    .verdict svg { flex: none; width: 2.25rem; height: 2.25rem; }
    .verdict p { margin: 0; }
    .verdict .word { font-size: 1.35rem; font-weight: 650; line-height: 2.25rem; letter-spacing: -0.012em; }
    .passed { background: var(--pass-ground); } .passed .word, .passed.tag { color: var(--pass); }
    .failed { background: var(--fail-ground); } .failed .word, .failed.tag { color: var(--fail); }
    .measured { background: var(--plain-ground); } .measured .word, .measured.tag { color: var(--plain); }
    .verdict.passed svg { fill: var(--pass); } .verdict.failed svg { fill: var(--fail); } .verdict.measured svg { fill: var(--plain); }
    .verdict svg path { stroke: var(--paper); stroke-width: 2.4; fill: none; stroke-linecap: round; stroke-linejoin: round; }
    .tag { background: none; font-weight: 650; white-space: nowrap; }

    .tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(12.5rem, 1fr)); gap: 1.5rem 2rem; margin: 2rem 0 0; padding: 0; }
    .tiles div { border-top: 2px solid var(--rule); padding-top: 0.7rem; }
    .tiles dt { color: var(--soft); font-size: 0.875rem; }
    .tiles dd { margin: 0; }
    .tiles .large { font-size: 1.6rem; font-weight: 600; letter-spacing: -0.02em; line-height: 1.35; }
    .tiles .unit { font-size: 0.95rem; font-weight: 400; letter-spacing: 0; color: var(--soft); }

    .scroll { overflow-x: auto; max-width: 100%; margin: 0.9rem 0 0; }
    table { border-collapse: collapse; width: 100%; font-size: 0.925rem; overflow-wrap: normal; }
    th, td { padding: 0.5rem 0.75rem; text-align: right; vertical-align: baseline; border-bottom: 1px solid var(--rule); white-space: nowrap; font-variant-numeric: tabular-nums lining-nums; }
    thead th { font-weight: 500; color: var(--soft); font-size: 0.825rem; line-height: 1.35; vertical-align: bottom; }
    tbody th { font-weight: 600; }
    th:first-child, td:first-child { padding-left: 0; } th:last-child, td:last-child { padding-right: 0; }
    .left { text-align: left; }
    .within { display: block; color: var(--soft); font-size: 0.825em; font-weight: 400; }
    tr.base td, tr.base th { color: var(--soft); }
    table.compact { width: auto; min-width: min(100%, 34rem); }
    td.wrap { white-space: normal; overflow-wrap: anywhere; }

    .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 2rem 2.5rem; margin: 1.25rem 0 0; }
    figure { margin: 0; min-width: 0; }
    figcaption { margin: 0 0 0.6rem; }
    figcaption .small { display: block; color: var(--soft); }
    .chart { display: block; width: 100%; max-width: 33rem; height: auto; }
    .chart text { font: 400 12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif; fill: var(--soft); font-variant-numeric: tabular-nums; }
    .chart .label { fill: var(--ink); font-weight: 600; }
    .chart .grid { stroke: var(--faint); stroke-width: 1; }
    .chart .axis { stroke: var(--rule); stroke-width: 1; }
    .chart .bar { fill: var(--bar); }
    .chart .line { fill: none; stroke: var(--accent); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
    .chart .front { fill: none; stroke: var(--rule); stroke-width: 1.5; stroke-dasharray: 4 4; }
    .chart .dot { fill: var(--accent); stroke: var(--paper); stroke-width: 2; }
    .chart .dot.failing { fill: var(--paper); stroke: var(--fail); stroke-width: 2.5; }
    .chart .guide { stroke: var(--cool); stroke-width: 1.25; stroke-dasharray: 3 3; }
    .chart text.guided { fill: var(--cool); stroke: none; }
    .key { display: inline-block; width: 0.8rem; height: 0.8rem; border-radius: 0.15rem; background: var(--bar); vertical-align: -0.05rem; margin-right: 0.35rem; }
    figcaption .keys { display: flex; flex-wrap: wrap; gap: 0 1.25rem; }
    .key.stroke { height: 0.2rem; background: var(--accent); vertical-align: 0.2rem; width: 1.1rem; }

    .heat { width: auto; font-size: 0.8rem; border-collapse: separate; border-spacing: 2px; margin: 0; }
    .heat th, .heat td { border: 0; padding: 0.3rem 0.55rem; text-align: center; }
    .heat th:first-child { position: sticky; left: 0; background: var(--paper); padding-right: 0.75rem; text-align: right; font-weight: 500; color: var(--soft); }
    .heat td { border-radius: 0.2rem; min-width: 4.1rem; line-height: 1.3; }
    .heat .type { font-weight: 600; margin-right: 0.2rem; }
    .heat td .within { color: inherit; font-size: 0.92em; }
    .legend { display: flex; flex-wrap: wrap; align-items: center; gap: 0.3rem 0.6rem; margin: 0.6rem 0 0; font-size: 0.825rem; color: var(--soft); }
    .legend span.cells { display: inline-flex; }
    .legend i { width: 1.5rem; height: 0.8rem; }
    .h0 { background: var(--h0); color: var(--i0); } .h1 { background: var(--h1); color: var(--i1); }
    .h2 { background: var(--h2); color: var(--i2); } .h3 { background: var(--h3); color: var(--i3); }
    .h4 { background: var(--h4); color: var(--i4); } .h5 { background: var(--h5); color: var(--i5); }
    .h6 { background: var(--h6); color: var(--i6); } .h7 { background: var(--h7); color: var(--i7); }
    .none { color: var(--soft); }

    .tokens { list-style: none; margin: 0.9rem 0 0; padding: 0; border-top: 1px solid var(--rule); }
    .tokens li { display: grid; grid-template-columns: minmax(0, 1fr) 19rem; gap: 0.4rem 2rem; padding: 0.8rem 0; border-bottom: 1px solid var(--rule); break-inside: avoid; }
    .tokens p { margin: 0; max-width: none; }
    .tokens .context { line-height: 1.6; }
    .tokens .context .soft { white-space: pre-wrap; }
    .tokens mark { white-space: pre-wrap; background: var(--mark); color: var(--mark-ink); border-radius: 0.2rem; padding: 0.1em 0.25em; }
    .tokens table { font-size: 0.85rem; align-self: start; }
    .tokens th, .tokens td { border: 0; padding: 0.05rem 0.5rem; }
    .tokens thead th { font-size: 0.775rem; } .tokens tbody th { font-weight: 400; color: var(--soft); }
    .tokens .piece { font-size: 0.95em; }
    .piece { background: var(--panel); border-radius: 0.2rem; padding: 0.05em 0.25em; white-space: pre-wrap; }

    .facts { display: grid; grid-template-columns: minmax(8rem, 15rem) minmax(0, 1fr); gap: 0.35rem 1.5rem; margin: 0.9rem 0 0; font-size: 0.925rem; }
    .facts dt { color: var(--soft); } .facts dd { margin: 0; font-variant-numeric: tabular-nums lining-nums; white-space: pre-wrap; }
    details { margin: 0.9rem 0 0; } summary { cursor: pointer; font-weight: 600; }
    footer { margin-top: 4rem; padding-bottom: 3rem; color: var(--soft); font-size: 0.875rem; }
    footer div { border-top: 1px solid var(--rule); padding-top: 1rem; }

    @media (max-width: 44rem) {
      section { margin-top: 2.5rem; }
      .tokens li { grid-template-columns: minmax(0, 1fr); } .tokens table { width: auto; }
      .facts { grid-template-columns: minmax(0, 1fr); gap: 0; } .facts dd { margin-bottom: 0.6rem; }
      .tiles { grid-template-columns: repeat(auto-fit, minmax(8.75rem, 1fr)); gap: 1.25rem; }
    }
    @media print {
      :root {
        color-scheme: light;
        --paper: #ffffff; --panel: #f7f5f2; --ink: #1d1b18; --soft: #655f57; --rule: #d5cfc6; --faint: #efebe5;
        --accent: #a4521a; --cool: #35659a; --bar: #bd8350; --pass: #1b7446; --fail: #b3261e; --plain: #655f57;
        --pass-ground: #eaf5ee; --fail-ground: #fcedeb; --plain-ground: #f4f1ed; --mark: #fbe3c4; --mark-ink: #3a2407;
        --h0: #fcf6ee; --h1: #f8e7cf; --h2: #f3d2a6; --h3: #ecb97c; --h4: #e29a57; --h5: #d07f3c; --h6: #974515; --h7: #66290b;
        --i0: #1d1b18; --i1: #1d1b18; --i2: #1d1b18; --i3: #1d1b18; --i4: #1d1b18; --i5: #1d1b18; --i6: #ffffff; --i7: #ffffff;
      }
      html { font-size: 9.5pt; } body { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
      main, .top > div, footer { max-width: none; padding: 0; }
      section { margin-top: 1.75rem; } figure, .verdict, .heat tr { break-inside: avoid; } h2, h3, h3 + p { break-after: avoid; }
      .scroll { overflow: visible; } table { font-size: 8.5pt; } th, td { padding: 0.3rem 0.4rem; }
      .heat { font-size: 7pt; } .heat td { min-width: 0; padding: 0.15rem 0.3rem; }
      .charts { grid-template-columns: 1fr 1fr; } .tiles { grid-template-columns: repeat(4, 1fr); gap: 1rem; }
      details::details-content { content-visibility: visible; block-size: auto; } summary { display: none; }
    }

    """
}
