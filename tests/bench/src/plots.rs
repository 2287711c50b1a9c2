//! Curves: collected while rows are measured, drawn as SVG at the end.
//!
//! Owns: series and how they are drawn. Does not know how they were measured.

use std::{error::Error, path::Path};

use plotters::prelude::*;

use crate::{figures::show, gauge::Times};

/// See the module.
#[derive(Default)]
pub struct Plots {
    plots: Vec<Plot>,
}

/// One picture.
pub struct Plot {
    /// Its file's name, without the ending.
    pub name: String,
    /// What stands above it.
    pub title: String,
    /// What the axes are.
    pub axes: (String, String),
    /// Label and points, left to right.
    pub series: Vec<(String, Vec<(f64, f64)>)>,
}

/// Told apart also by who does not see red and green alike (Okabe, Ito 2008).
const COLOURS: [(u8, u8, u8); 7] =
    [(0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (0, 0, 0)];

/// The parts of a distribution that are drawn.
const PARTS: [f64; 14] = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999];

impl Plots {
    /// How long things took, to a picture of several such.
    pub fn times(&mut self, title: &str, label: &str, times: &Times) {
        if times.count() < 100 {
            return;
        }
        // 1 / (1 - part): what one in so many exceeds.
        let point = |part: &f64| (1.0 / (1.0 - part), times.quantile_us(*part));
        let points = PARTS.iter().filter(|part| (1.0 - **part) * times.count() as f64 >= 1.0).map(point).collect();
        self.add(&format!("{title}: how long it takes"), ("one in so many takes longer", "us"), label, points);
    }

    /// One curve.
    pub fn add(&mut self, title: &str, axes: (&str, &str), label: &str, points: Vec<(f64, f64)>) {
        let name: String =
            title.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        let name = name.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
        let axes = (axes.0.to_owned(), axes.1.to_owned());
        let series = (label.to_owned(), points);
        match self.plots.iter_mut().find(|plot| plot.name == name) {
            Some(plot) => plot.series.push(series),
            None => self.plots.push(Plot { name, title: title.to_owned(), axes, series: vec![series] }),
        }
    }

    /// All of them.
    pub fn all(&self) -> &[Plot] {
        &self.plots
    }
}

/// Draws all of them into a folder; gives the names of the files.
///
/// # Errors
/// A sentence: what could not be written.
pub fn draw(plots: &Plots, folder: &Path) -> Result<Vec<String>, String> {
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}; name another with --plots", folder.display()))?;
    let mut names = Vec::new();
    for plot in plots.all() {
        let path = folder.join(format!("{}.svg", plot.name));
        picture(plot, &path).map_err(|why| format!("{}: {why}", path.display()))?;
        names.push(format!("{}.svg", plot.name));
    }
    Ok(names)
}

fn picture(plot: &Plot, path: &Path) -> Result<(), Box<dyn Error>> {
    let points = || plot.series.iter().flat_map(|(_, points)| points);
    let span = |of: fn(&(f64, f64)) -> f64| {
        let low = points().map(of).fold(f64::INFINITY, f64::min);
        let high = points().map(of).fold(f64::NEG_INFINITY, f64::max);
        low * 0.8..high * 1.25
    };
    if points().next().is_none() {
        return Ok(());
    }
    let area = SVGBackend::new(path, (900, 520)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(&plot.title, ("sans-serif", 22))
        .margin(14)
        .x_label_area_size(48)
        .y_label_area_size(86)
        .build_cartesian_2d(span(|p| p.0).log_scale(), span(|p| p.1).log_scale())?;
    chart
        .configure_mesh()
        .x_desc(&plot.axes.0)
        .y_desc(&plot.axes.1)
        .x_label_formatter(&|x| show(*x))
        .y_label_formatter(&|y| show(*y))
        .light_line_style(WHITE)
        .draw()?;
    for (n, (label, points)) in plot.series.iter().enumerate() {
        let (r, g, b) = COLOURS[n % COLOURS.len()];
        let line = RGBColor(r, g, b).stroke_width(2);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), line).point_size(3))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], line));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_drawn_with_their_titles_and_labels() {
        let mut plots = Plots::default();
        let mut times = Times::default();
        (1..=1_000).for_each(|us| times.note(us * 1_000));
        plots.times("local call", "one at a time", &times);
        plots.add("ring: msgs/s against its size", ("actors", "msgs/s"), "100 tokens", vec![(1.0, 5e6), (1e6, 2e6)]);
        let folder = tempfile::tempdir().unwrap();
        let names = draw(&plots, folder.path()).unwrap();
        assert_eq!(names, ["local-call-how-long-it-takes.svg", "ring-msgs-s-against-its-size.svg"]);
        for (name, parts) in names.iter().zip([["one at a time", "us"], ["100 tokens", "actors"]]) {
            let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
            assert!(text.starts_with("<svg") && parts.iter().all(|part| text.contains(part)), "{text}");
        }
    }
}
