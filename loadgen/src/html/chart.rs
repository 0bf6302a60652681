//! Charts of lines, as SVG.

use std::fmt::Write;

use super::{escape, shown};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 40.0;

/// Dashes and colours there are.
const STYLES: usize = 4;

/// A line of a chart; where it has no value it is broken.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, Option<f64>)>,
}

/// How the values of an axis lie on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// From zero.
    Linear,
    /// By powers of ten.
    Logarithmic,
}

/// A chart.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) title: String,
    /// What it shows, for those who do not see it and those who have not met it.
    pub(super) note: String,
    pub(super) x: String,
    pub(super) y: String,
    pub(super) scale: Scale,
    pub(super) lines: Vec<Line>,
    /// Times that divide the chart, with names.
    pub(super) marks: Vec<(f64, String)>,
    /// Places on the x axis with names; without any, round numbers.
    pub(super) places: Vec<(f64, String)>,
}

/// Where values lie.
struct Axis {
    from: f64,
    to: f64,
    is_logarithmic: bool,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64>, scale: Scale) -> Self {
        let is_logarithmic = scale == Scale::Logarithmic;
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|value| value.is_finite() && (!is_logarithmic || *value > 0.0)) {
            (least, most) = (least.min(value), most.max(value));
        }
        if most <= 0.0 {
            return Self {
                from: 0.0,
                to: 1.0,
                is_logarithmic: false,
            };
        }
        if is_logarithmic {
            let (from, to) = (least.log10().floor(), most.log10().ceil());
            return Self {
                from,
                to: to.max(from + 1.0),
                is_logarithmic,
            };
        }
        let step = step(most);
        Self {
            from: 0.0,
            to: (most / step).ceil() * step,
            is_logarithmic,
        }
    }

    /// Of times: from the start to the last of them.
    fn to_last(values: impl Iterator<Item = f64>) -> Self {
        let last = values.fold(0.0, f64::max);
        Self {
            from: 0.0,
            to: if last > 0.0 { last } else { 1.0 },
            is_logarithmic: false,
        }
    }

    /// From 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let value = if self.is_logarithmic {
            value.max(f64::MIN_POSITIVE).log10()
        } else {
            value
        };
        ((value - self.from) / (self.to - self.from)).clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<f64> {
        let step = if self.is_logarithmic {
            1.0
        } else {
            step(self.to)
        };
        // An end that is a tick itself must not be lost to rounding.
        let count = ((self.to - self.from) / step + 1e-6).floor() as u32;
        let ticks = (0..=count).map(|tick| f64::from(tick).mul_add(step, self.from));
        ticks
            .map(|at| {
                if self.is_logarithmic {
                    10_f64.powf(at)
                } else {
                    at
                }
            })
            .collect()
    }
}

/// A round number, of which four to ten reach the end.
fn step(most: f64) -> f64 {
    let rough = most / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|factor| rough <= factor * power);
    factor.unwrap_or(10.0) * power
}

impl Chart {
    /// The figure, or nothing if there is nothing to show.
    pub(super) fn to_html(&self) -> String {
        let values = || self.lines.iter().flat_map(|line| &line.points);
        if values().all(|(_, y)| y.is_none()) {
            return String::new();
        }
        let x = match (self.places.first(), self.places.last()) {
            (Some((from, _)), Some((to, _))) => Axis {
                from: *from,
                to: *to,
                is_logarithmic: false,
            },
            _ => Axis::to_last(values().map(|(x, _)| *x)),
        };
        let y = Axis::of(values().filter_map(|(_, y)| *y), self.scale);
        let mut svg = String::new();
        self.frame(&mut svg, &x, &y);
        for (number, line) in self.lines.iter().enumerate() {
            draw(&mut svg, &x, &y, number % STYLES, line);
        }
        self.legend(&mut svg);
        let (title, note) = (escape(&self.title), escape(&self.note));
        format!(
            "<figure><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}: {note}\">\
             <title>{title}</title>{svg}</svg><figcaption><strong>{title}.</strong> {note}</figcaption></figure>\n"
        )
    }

    fn frame(&self, svg: &mut String, x: &Axis, y: &Axis) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in y.ticks() {
            let at = down(y, tick);
            let _ = write!(
                svg,
                "<line class=\"tick\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                at + 4.0,
                shown(tick)
            );
        }
        let round = || {
            x.ticks()
                .into_iter()
                .map(|tick| (tick, shown(tick)))
                .collect()
        };
        let places = if self.places.is_empty() {
            round()
        } else {
            self.places.clone()
        };
        for (tick, name) in places {
            let at = across(x, tick);
            let _ = write!(
                svg,
                "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 15.0,
                escape(&name)
            );
        }
        for (at, name) in &self.marks {
            let at = across(x, *at);
            let _ = write!(
                svg,
                "<line class=\"mark\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{bottom}\">\
                 <title>{}</title></line>",
                escape(name)
            );
        }
        let _ = write!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text x=\"4\" y=\"{:.1}\">{}</text>",
            f64::midpoint(LEFT, right),
            HEIGHT - 6.0,
            escape(&self.x),
            TOP - 8.0,
            escape(&self.y)
        );
    }

    fn legend(&self, svg: &mut String) {
        let mut at = LEFT + 90.0;
        for (number, line) in self.lines.iter().enumerate() {
            let _ = write!(
                svg,
                "<line class=\"line l{}\" x1=\"{at:.1}\" x2=\"{:.1}\" y1=\"12\" y2=\"12\"/>\
                 <text x=\"{:.1}\" y=\"16\">{}</text>",
                number % STYLES,
                at + 26.0,
                at + 31.0,
                escape(&line.name)
            );
            at += 7.0f64.mul_add(line.name.chars().count() as f64, 48.0);
        }
    }
}

fn across(x: &Axis, value: f64) -> f64 {
    x.place(value).mul_add(WIDTH - LEFT - RIGHT, LEFT)
}

fn down(y: &Axis, value: f64) -> f64 {
    (1.0 - y.place(value)).mul_add(HEIGHT - TOP - BOTTOM, TOP)
}

fn draw(svg: &mut String, x: &Axis, y: &Axis, style: usize, line: &Line) {
    let mut path = String::new();
    let mut pen = 'M';
    for (at, value) in &line.points {
        match value {
            Some(value) => {
                let _ = write!(path, "{pen}{:.1} {:.1}", across(x, *at), down(y, *value));
                pen = 'L';
            }
            None => pen = 'M',
        }
    }
    // A line of one point has a length all the same, with round ends.
    if path.matches(['M', 'L']).count() == 1 {
        path.push_str("l0.1 0");
    }
    let _ = write!(
        svg,
        "<path class=\"line l{style}\" stroke-linecap=\"round\" d=\"{path}\"><title>{}</title></path>",
        escape(&line.name)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        let linear = Axis::of([3.0, 87.0].into_iter(), Scale::Linear);
        assert_eq!(linear.ticks(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        let logarithmic = Axis::of([0.3, 40.0].into_iter(), Scale::Logarithmic);
        let ticks: Vec<String> = logarithmic.ticks().into_iter().map(shown).collect();
        assert_eq!(ticks, ["0.10", "1", "10", "100"]);
        assert!((logarithmic.place(0.1)).abs() < 1e-9 && logarithmic.place(100.0) > 0.999);
        let times = Axis::to_last([1.0, 21.3].into_iter());
        assert_eq!(times.ticks(), [0.0, 5.0, 10.0, 15.0, 20.0]);
        assert!(times.place(21.3) > 0.999);
        let nothing = Axis::of([0.0, f64::NAN].into_iter(), Scale::Logarithmic);
        assert_eq!((nothing.from, nothing.to), (0.0, 1.0));
    }

    #[test]
    fn a_line_is_broken_where_it_has_no_value() {
        let axis = Axis {
            from: 0.0,
            to: 3.0,
            is_logarithmic: false,
        };
        let points = vec![
            (0.0, Some(1.0)),
            (1.0, None),
            (2.0, Some(2.0)),
            (3.0, Some(3.0)),
        ];
        let mut svg = String::new();
        draw(
            &mut svg,
            &axis,
            &axis,
            0,
            &Line {
                name: "a".to_owned(),
                points,
            },
        );
        assert_eq!(svg.matches('M').count(), 2);
        assert_eq!(svg.matches('L').count(), 1);
    }
}
