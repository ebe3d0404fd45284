//! Diagrams as SVG, with the colors of the console in its light and dark theme. Each line has its own color, marker and
//! label, so colors are not needed to distinguish lines.

use std::fmt::Write as _;

/// A diagram of lines.
#[derive(Debug, Clone)]
pub(crate) struct Diagram {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) lines: Vec<Line>,
}

#[derive(Debug, Clone)]
pub(crate) struct Axis {
    /// The quantity and its unit.
    pub(crate) title: &'static str,
    pub(crate) scale: Scale,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Begins at 0.
    Linear,
    /// Has marks at powers of two.
    Binary,
    /// Has marks at 1, 2 and 5 times the powers of ten.
    Decimal,
}

#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
pub(crate) const LEFT: f64 = 76.0;
pub(crate) const RIGHT: f64 = 576.0;
pub(crate) const TOP: f64 = 48.0;
pub(crate) const BOTTOM: f64 = 340.0;
/// The minimum distance of labels.
pub(crate) const LABEL_DISTANCE: f64 = 17.0;
const STYLE: &str = "\
    svg{--ground:#fff;--line:#dce3e3;--text:#15201f;--dim:#51605f;--c0:#0f766e;--c1:#b42318;--c2:#1d4f91;--c3:#8a5300}\
    @media(prefers-color-scheme:dark){svg{--ground:#14181b;--line:#2b3438;--text:#e6eceb;--dim:#9dabaa;\
    --c0:#2dd4bf;--c1:#ff9a8f;--c2:#9cc4ff;--c3:#f5c26b}}\
    text{font:13px system-ui,sans-serif;fill:var(--dim)}.title{font-weight:600;font-size:15px;fill:var(--text)}\
    .ground{fill:var(--ground)}.grid{stroke:var(--line)}.s{fill:none;stroke-width:2}\
    .s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s3{stroke:var(--c3)}\
    .f0{fill:var(--c0)}.f1{fill:var(--c1)}.f2{fill:var(--c2)}.f3{fill:var(--c3)}";
const COLORS: usize = 4;

/// The marks of an axis; the first and the last are the ends of the axis.
pub(crate) fn marks(scale: Scale, values: &[f64]) -> Vec<f64> {
    let (low, high) =
        values.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
    let powers = |base: f64, logarithm: fn(f64) -> f64| {
        let (first, last) = (logarithm(low).floor() as i32, logarithm(high).ceil() as i32);
        (first..=last.max(first + 1)).map(move |power| base.powi(power))
    };
    match scale {
        Scale::Linear => {
            let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * 10_f64.powf((high / 5.0).log10().floor()));
            let step = step.into_iter().find(|step| high / step <= 5.0 + 1e-9).unwrap_or(high);
            (0..=(high / step - 1e-9).ceil() as u32).map(|number| f64::from(number) * step).collect()
        }
        Scale::Binary => powers(2.0, f64::log2).collect(),
        Scale::Decimal => {
            let marks: Vec<_> =
                powers(10.0, f64::log10).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * power)).collect();
            // Without the marks beyond those around the values.
            let first = marks.iter().rposition(|mark| *mark <= low).unwrap_or(0);
            let last = marks.iter().position(|mark| *mark >= high).unwrap_or(marks.len() - 1).max(first + 1);
            marks[first..=last].to_vec()
        }
    }
}

/// Returns where a value is between the ends of an axis, from 0 to 1.
pub(crate) fn position(scale: Scale, marks: &[f64], value: f64) -> f64 {
    let (low, high) = (marks[0], marks[marks.len() - 1]);
    match scale {
        Scale::Linear => (value - low) / (high - low),
        Scale::Binary | Scale::Decimal => (value / low).ln() / (high / low).ln(),
    }
}

impl Diagram {
    /// Draws the diagram; `None` if no line has two points. Points that a logarithmic axis cannot have are left out.
    pub(crate) fn draw(&self) -> Option<String> {
        let drawable = |scale: Scale, value: f64| value.is_finite() && (scale == Scale::Linear || value > 0.0);
        let of_line = |line: &Line| -> Vec<(f64, f64)> {
            let points = line.points.iter().copied();
            points.filter(|(x, y)| drawable(self.x.scale, *x) && drawable(self.y.scale, *y)).collect()
        };
        let lines: Vec<_> = self.lines.iter().map(|line| (&line.name, of_line(line))).collect();
        let lines: Vec<_> = lines.into_iter().filter(|(_, points)| points.len() > 1).collect();
        if lines.is_empty() {
            return None;
        }
        let all = lines.iter().flat_map(|(_, points)| points);
        let (xs, ys): (Vec<_>, Vec<_>) = all.copied().unzip();
        let (x_marks, y_marks) = (marks(self.x.scale, &xs), marks(self.y.scale, &ys));
        let at_x = |x: f64| LEFT + (RIGHT - LEFT) * position(self.x.scale, &x_marks, x);
        let at_y = |y: f64| BOTTOM - (BOTTOM - TOP) * position(self.y.scale, &y_marks, y);
        let mut svg = self.frame();
        for mark in &x_marks {
            let (x, label) = (at_x(*mark), number(*mark));
            svg += &format!("<path class=\"grid\" d=\"M{x:.1} {TOP}V{BOTTOM}\"/>");
            svg += &format!("<text x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{label}</text>\n", BOTTOM + 20.0);
        }
        for mark in &y_marks {
            let (y, label) = (at_y(*mark), number(*mark));
            svg += &format!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>");
            svg += &format!("<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\n", LEFT - 8.0, y + 4.0);
        }
        let points = |points: &[(f64, f64)]| points.iter().map(|(x, y)| (at_x(*x), at_y(*y))).collect::<Vec<_>>();
        let lines: Vec<_> = lines.iter().map(|(name, values)| (name.as_str(), points(values))).collect();
        for (index, (_, points)) in lines.iter().enumerate() {
            svg += &drawn(index, points);
        }
        svg += &labels(&lines);
        Some(svg + "</svg>\n")
    }

    /// The beginning, with the titles.
    fn frame(&self) -> String {
        let (title, x, y) = (escaped(&self.title), escaped(self.x.title), escaped(self.y.title));
        let (x_middle, y_middle) = ((LEFT + RIGHT) / 2.0, (TOP + BOTTOM) / 2.0);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
             role=\"img\"><title>{title}</title><style>{STYLE}</style>\n\
             <rect class=\"ground\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\"/>\n\
             <text class=\"title\" x=\"{LEFT}\" y=\"28\">{title}</text>\n\
             <text x=\"{x_middle}\" y=\"{:.0}\" text-anchor=\"middle\">{x}</text>\n\
             <text transform=\"translate(20 {y_middle}) rotate(-90)\" text-anchor=\"middle\">{y}</text>\n",
            HEIGHT - 14.0
        )
    }
}

/// A line with its markers.
fn drawn(index: usize, points: &[(f64, f64)]) -> String {
    let color = index % COLORS;
    let mut svg = format!("<path class=\"s s{color}\" d=\"");
    for (number, (x, y)) in points.iter().enumerate() {
        write!(svg, "{}{x:.1} {y:.1}", if number == 0 { 'M' } else { 'L' }).ok();
    }
    svg += "\"/>";
    write!(svg, "<path class=\"f{color}\" d=\"").ok();
    for (x, y) in points {
        svg += &format!("M{x:.1} {y:.1}{}", marker(index));
    }
    svg + "\"/>\n"
}

/// The outline of a marker, relative to its center.
fn marker(index: usize) -> &'static str {
    match index % COLORS {
        0 => "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
        1 => "m-4 -4h8v8h-8z",
        2 => "m0 -5l5 5l-5 5l-5 -5z",
        _ => "m0 -5l5 9h-10z",
    }
}

/// The names beside the ends of the lines, below each other where the ends are close.
pub(crate) fn labels(lines: &[(&str, Vec<(f64, f64)>)]) -> String {
    let mut ends: Vec<_> =
        lines.iter().enumerate().filter_map(|(index, (name, points))| Some((points.last()?.1, index, *name))).collect();
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut svg, mut next) = (String::new(), TOP);
    for (place, (y, index, name)) in ends.iter().enumerate() {
        // The labels below need their place, too.
        let below = (ends.len() - 1 - place) as f64;
        let y = y.min(BOTTOM - LABEL_DISTANCE * below).max(next);
        next = y + LABEL_DISTANCE;
        let (color, x) = (index % COLORS, RIGHT + 14.0);
        svg += &format!("<path class=\"f{color}\" d=\"M{x} {y:.1}{}\"/>", marker(*index));
        svg += &format!("<text x=\"{}\" y=\"{:.1}\">{}</text>\n", x + 10.0, y + 4.0, escaped(name));
    }
    svg
}

/// A number with a comma between thousands, or the digits of a fraction.
pub(crate) fn number(value: f64) -> String {
    if value != 0.0 && value < 1.0 {
        return format!("{value:.6}").trim_end_matches('0').to_owned();
    }
    if value.fract().abs() > 1e-9 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
