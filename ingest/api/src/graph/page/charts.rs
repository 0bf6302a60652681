//! Numbers with their bars: SVG without a library, beside words that say the same.
//!
//! Pure. Whatever the live stream replaces has the id of its line in a data attribute.

use maud::{Markup, html};

use super::layout::{class, hatching, icon};
use super::numbers::{Card, Line};
use super::texts::{number, percent};

/// A number, as a link if the role may see the devices behind it.
pub(super) fn count(line: &Line) -> Markup {
    let shown = html! { span data-number=(line.id) { (number(line.count)) } };
    match &line.link {
        Some(link) => html! { a .count href=(link) { (shown) } },
        None => html! { span .count { (shown) } },
    }
}

pub(super) fn share(line: &Line) -> Markup {
    html! { span .share data-share=(line.id) { (percent(line.count, line.total)) } }
}

/// One bar of all lines of a card. The legend below says the same in words.
pub(super) fn stack(card: &Card) -> Markup {
    let at = |part: u64| format!("{:.2}%", part as f64 * 100.0 / card.total.max(1) as f64);
    html! {
        svg .stack width="100%" height="14" aria-hidden="true" {
            @for line in &card.lines {
                g class=(class(line.tone)) data-bar=(line.id) {
                    rect x=(at(line.before)) width=(at(line.count)) height="14" {}
                    @if let Some(fill) = hatching(line.tone) {
                        rect .hatch x=(at(line.before)) width=(at(line.count)) height="14" fill=(fill) {}
                    }
                }
            }
        }
    }
}

/// The colour and hatching that a line has in the bar.
fn swatch(line: &Line) -> Markup {
    html! {
        svg .swatch width="12" height="12" aria-hidden="true" {
            g class=(class(line.tone)) {
                rect width="12" height="12" {}
                @if let Some(fill) = hatching(line.tone) { rect width="12" height="12" fill=(fill) {} }
            }
        }
    }
}

pub(super) fn legend(lines: &[Line]) -> Markup {
    html! {
        ul .legend {
            @for line in lines {
                li data-zero=[(line.count == 0).then_some("")] {
                    (swatch(line)) (icon(line.tone)) span .text { (line.text) } (count(line)) (share(line))
                }
            }
        }
    }
}

/// A bar for each line: its share of the whole.
pub(super) fn bars(card: &Card) -> Markup {
    html! {
        ul .bars {
            @for line in &card.lines {
                li data-zero=[(line.count == 0).then_some("")] {
                    span .text { (line.text) } (count(line)) (share(line))
                    svg .bar width="100%" height="6" aria-hidden="true" {
                        g class=(class(line.tone)) data-bar=(line.id) data-from-left="" {
                            rect width=(format!("{:.2}%", line.count as f64 * 100.0 / line.total.max(1) as f64))
                                height="6" rx="3" {}
                        }
                    }
                }
            }
        }
    }
}
