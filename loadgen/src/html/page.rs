//! The page template: head, style, body.

use super::escape;

/// Prevents a page from loading anything, whatever it contains.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Colours are variables, so that light and dark mode differ in one place. Lines also differ by their dashes.
const STYLE: &str = "\
:root{color-scheme:light dark;--back:#fff;--text:#1b1f24;--soft:#57606a;--rule:#d0d7de;--panel:#f6f8fa;\
--a:#0550ae;--b:#bc4c00;--c:#116329;--d:#8250df;--good:#116329;--bad:#a40e26;--warn:#7d4e00}\
@media(prefers-color-scheme:dark){:root{--back:#0d1117;--text:#e6edf3;--soft:#9198a1;--rule:#30363d;\
--panel:#161b22;--a:#79c0ff;--b:#ffa657;--c:#7ee787;--d:#d2a8ff;--good:#7ee787;--bad:#ff9492;--warn:#e3b341}}\
body{margin:2rem auto;padding:0 1rem;max-width:70rem;background:var(--back);color:var(--text);\
font:16px/1.5 system-ui,sans-serif}\
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}\
.banner{padding:.7rem 1rem;border:1px solid;border-left-width:.5rem;background:var(--panel);font-weight:600}\
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}\
.grid{display:grid;gap:1.5rem;grid-template-columns:repeat(auto-fit,minmax(20rem,1fr))}\
figure{margin:0;overflow-x:auto}figcaption{color:var(--soft);font-size:.9rem}\
svg{width:100%;height:auto;min-width:18rem}svg text{fill:var(--text);font-size:11px}\
.axis{stroke:var(--soft)}.tick{stroke:var(--rule)}.mark{stroke:var(--soft);stroke-dasharray:2 3}\
.line{fill:none;stroke-width:1.8}.l0{stroke:var(--a)}.l1{stroke:var(--b);stroke-dasharray:7 3}\
.l2{stroke:var(--c);stroke-dasharray:2 3}.l3{stroke:var(--d);stroke-dasharray:9 3 2 3}\
table{border-collapse:collapse;width:100%}caption{text-align:left;font-weight:600;padding:.3rem 0}\
th,td{border-bottom:1px solid var(--rule);padding:.2rem .6rem;text-align:right;font-variant-numeric:tabular-nums}\
th:first-child,td:first-child{text-align:left;font-weight:400}thead th{color:var(--soft)}\
details{margin:1rem 0;overflow-x:auto}";

/// A whole page around a body, which must already be escaped.
pub(super) fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\"/>\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{body}\n\
         </main>\n</body>\n</html>\n"
    )
}

/// A prominent message. `kind` is `good`, `bad` or `warn`.
pub(super) fn banner(kind: &str, text: &str) -> String {
    format!(
        "<p class=\"banner {kind}\" role=\"status\">{}</p>\n",
        escape(text)
    )
}
