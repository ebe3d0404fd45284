//! The drawn diagrams.

use crate::svg::{
    Axis, BOTTOM, Diagram, LABEL_DISTANCE, LEFT, Line, RIGHT, Scale, TOP, labels, marks, number, position,
};

fn diagram(x: Scale, y: Scale, lines: &[&[(f64, f64)]]) -> Diagram {
    let line =
        |(index, points): (usize, &&[(f64, f64)])| Line { name: format!("line {index}"), points: points.to_vec() };
    Diagram {
        title: "a < b & c".to_owned(),
        x: Axis { title: "connections", scale: x },
        y: Axis { title: "requests per second", scale: y },
        lines: lines.iter().enumerate().map(line).collect(),
    }
}

#[test]
fn marks_surround_the_values() {
    assert_eq!(marks(Scale::Linear, &[3.0, 700.0]), [0.0, 200.0, 400.0, 600.0, 800.0]);
    assert_eq!(marks(Scale::Linear, &[0.0, 1000.0]), [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]);
    assert_eq!(marks(Scale::Binary, &[1.0, 3.0, 8.0]), [1.0, 2.0, 4.0, 8.0]);
    assert_eq!(marks(Scale::Decimal, &[3.0, 70.0]), [2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
    assert_eq!(marks(Scale::Binary, &[4.0]), [4.0, 8.0], "an axis has a length");
    assert_eq!(marks(Scale::Decimal, &[1.0]), [1.0, 2.0], "an axis has a length");
}

#[test]
fn values_are_between_the_ends_of_their_axis() {
    for scale in [Scale::Linear, Scale::Binary, Scale::Decimal] {
        let values = [0.03, 1.0, 7.0, 31_898.0];
        let marks = marks(scale, &values);
        assert!(values.iter().all(|value| (0.0..=1.0).contains(&position(scale, &marks, *value))), "{scale:?}");
    }
    assert_eq!(position(Scale::Binary, &[1.0, 2.0, 4.0], 2.0), 0.5);
    assert_eq!(position(Scale::Linear, &[0.0, 5.0, 10.0], 5.0), 0.5);
}

#[test]
fn a_diagram_has_its_titles_its_points_and_both_themes() {
    let points: &[_] = &[(1.0, 10.0), (2.0, 20.0), (4.0, 40.0)];
    let svg = diagram(Scale::Binary, Scale::Linear, &[points, points]).draw().expect("a diagram");
    for part in ["a &lt; b &amp; c", ">connections<", ">requests per second<", ">line 0<", ">line 1<"] {
        assert!(svg.contains(part), "{part} is in {svg}");
    }
    assert!(svg.contains("prefers-color-scheme:dark"));
    // The first point is at the left end and a quarter above the bottom, the last one in the top right corner.
    assert!(svg.contains(&format!("M{LEFT:.1} {:.1}L", BOTTOM - (BOTTOM - TOP) / 4.0)), "{svg}");
    assert!(svg.contains(&format!("L{RIGHT:.1} {TOP:.1}\"")), "{svg}");
}

#[test]
fn labels_of_close_ends_do_not_overlap() {
    let ends = [339.0, 340.0, 100.0, 101.0].map(|y| ("name", vec![(0.0, 0.0), (RIGHT, y)]));
    let svg = labels(&ends);
    let ys = svg.lines().filter_map(|line| line.split(" y=\"").nth(1)?.split('"').next()?.parse().ok());
    let ys: Vec<f64> = ys.collect();
    assert_eq!(ys.len(), 4);
    assert!(ys.windows(2).all(|pair| pair[1] - pair[0] >= LABEL_DISTANCE - 0.1), "{ys:?}");
    assert!(ys.iter().all(|y| (TOP..=BOTTOM + 4.0).contains(y)), "{ys:?}");
}

#[test]
fn points_without_a_place_are_left_out() {
    let zero: &[_] = &[(1.0, 0.0), (2.0, 20.0), (4.0, f64::NAN), (8.0, 40.0)];
    let svg = diagram(Scale::Binary, Scale::Decimal, &[zero]).draw().expect("a diagram");
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    assert!(diagram(Scale::Binary, Scale::Decimal, &[&zero[..2]]).draw().is_none(), "one point is no line");
    assert!(diagram(Scale::Linear, Scale::Linear, &[]).draw().is_none());
}

#[test]
fn numbers_are_readable() {
    let texts = [0.0, 0.05, 1.0, 2.5, 500.0, 25_000.0, 1_000_000.0].map(number);
    assert_eq!(texts, ["0", "0.05", "1", "2.5", "500", "25,000", "1,000,000"]);
}
