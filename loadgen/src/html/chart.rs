//! Line charts as SVG.

use std::fmt::Write;

use super::{escape, format_number};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 40.0;

/// The number of line styles (dashes and colours).
const STYLES: usize = 4;

/// A line of a chart, with gaps where it has no value.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, Option<f64>)>,
}

/// The scale of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// Linear, starting at zero.
    Linear,
    /// Logarithmic, to base ten.
    Logarithmic,
}

/// A chart.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) title: String,
    /// A description, also for screen readers.
    pub(super) note: String,
    pub(super) x: String,
    pub(super) y: String,
    pub(super) scale: Scale,
    pub(super) lines: Vec<Line>,
    /// Vertical lines at these x values, with labels.
    pub(super) marks: Vec<(f64, String)>,
    /// Ticks of the x axis with labels; if empty, round numbers.
    pub(super) x_ticks: Vec<(f64, String)>,
}

/// The range and scale of an axis.
struct Axis {
    from: f64,
    to: f64,
    is_logarithmic: bool,
}

impl Axis {
    /// An axis from zero or a power of ten to a round number that covers the values.
    fn covering(values: impl Iterator<Item = f64>, scale: Scale) -> Self {
        let is_logarithmic = scale == Scale::Logarithmic;
        let (mut min, mut max) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|value| value.is_finite() && (!is_logarithmic || *value > 0.0)) {
            (min, max) = (min.min(value), max.max(value));
        }
        if max <= 0.0 {
            return Self {
                from: 0.0,
                to: 1.0,
                is_logarithmic: false,
            };
        }
        if is_logarithmic {
            let (from, to) = (min.log10().floor(), max.log10().ceil());
            return Self {
                from,
                to: to.max(from + 1.0),
                is_logarithmic,
            };
        }
        let step = step(max);
        Self {
            from: 0.0,
            to: (max / step).ceil() * step,
            is_logarithmic,
        }
    }

    /// A linear axis from zero to exactly the last value.
    fn to_last(values: impl Iterator<Item = f64>) -> Self {
        let last = values.fold(0.0, f64::max);
        Self {
            from: 0.0,
            to: if last > 0.0 { last } else { 1.0 },
            is_logarithmic: false,
        }
    }

    /// The position of a value, from 0 to 1.
    fn position(&self, value: f64) -> f64 {
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
        // The tolerance keeps a tick at the end of the axis in spite of rounding.
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

/// The distance between ticks: a round number that gives four to ten ticks up to `max`.
fn step(max: f64) -> f64 {
    let rough = max / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|factor| rough <= factor * power);
    factor.unwrap_or(10.0) * power
}

impl Chart {
    /// The chart as a figure element; empty if there are no values.
    pub(super) fn to_html(&self) -> String {
        let values = || self.lines.iter().flat_map(|line| &line.points);
        if values().all(|(_, y)| y.is_none()) {
            return String::new();
        }
        let x = match (self.x_ticks.first(), self.x_ticks.last()) {
            (Some((from, _)), Some((to, _))) => Axis {
                from: *from,
                to: *to,
                is_logarithmic: false,
            },
            _ => Axis::to_last(values().map(|(x, _)| *x)),
        };
        let y = Axis::covering(values().filter_map(|(_, y)| *y), self.scale);
        let mut svg = String::new();
        self.axes(&mut svg, &x, &y);
        for (number, line) in self.lines.iter().enumerate() {
            draw_line(&mut svg, &x, &y, number % STYLES, line);
        }
        self.legend(&mut svg);
        let (title, note) = (escape(&self.title), escape(&self.note));
        format!(
            "<figure><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}: {note}\">\
             <title>{title}</title>{svg}</svg><figcaption><strong>{title}.</strong> {note}</figcaption></figure>\n"
        )
    }

    fn axes(&self, svg: &mut String, x: &Axis, y: &Axis) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in y.ticks() {
            let at = y_position(y, tick);
            let _ = write!(
                svg,
                "<line class=\"tick\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                at + 4.0,
                format_number(tick)
            );
        }
        let round_ticks = || {
            x.ticks()
                .into_iter()
                .map(|tick| (tick, format_number(tick)))
                .collect()
        };
        let x_ticks = if self.x_ticks.is_empty() {
            round_ticks()
        } else {
            self.x_ticks.clone()
        };
        for (tick, name) in x_ticks {
            let at = x_position(x, tick);
            let _ = write!(
                svg,
                "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 15.0,
                escape(&name)
            );
        }
        for (at, name) in &self.marks {
            let at = x_position(x, *at);
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

fn x_position(x: &Axis, value: f64) -> f64 {
    x.position(value).mul_add(WIDTH - LEFT - RIGHT, LEFT)
}

fn y_position(y: &Axis, value: f64) -> f64 {
    (1.0 - y.position(value)).mul_add(HEIGHT - TOP - BOTTOM, TOP)
}

fn draw_line(svg: &mut String, x: &Axis, y: &Axis, style: usize, line: &Line) {
    let mut path = String::new();
    let mut pen = 'M';
    for (at, value) in &line.points {
        match value {
            Some(value) => {
                let _ = write!(
                    path,
                    "{pen}{:.1} {:.1}",
                    x_position(x, *at),
                    y_position(y, *value)
                );
                pen = 'L';
            }
            None => pen = 'M',
        }
    }
    // A line with one point gets a short segment, so that its round caps are visible.
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
        let linear = Axis::covering([3.0, 87.0].into_iter(), Scale::Linear);
        assert_eq!(linear.ticks(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        let logarithmic = Axis::covering([0.3, 40.0].into_iter(), Scale::Logarithmic);
        let ticks: Vec<String> = logarithmic.ticks().into_iter().map(format_number).collect();
        assert_eq!(ticks, ["0.10", "1", "10", "100"]);
        assert!((logarithmic.position(0.1)).abs() < 1e-9 && logarithmic.position(100.0) > 0.999);
        let times = Axis::to_last([1.0, 21.3].into_iter());
        assert_eq!(times.ticks(), [0.0, 5.0, 10.0, 15.0, 20.0]);
        assert!(times.position(21.3) > 0.999);
        let empty = Axis::covering([0.0, f64::NAN].into_iter(), Scale::Logarithmic);
        assert_eq!((empty.from, empty.to), (0.0, 1.0));
    }

    #[test]
    fn a_line_has_gaps_where_it_has_no_value() {
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
        draw_line(
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
