//! One run as a page: the table, what falls short and by how much, the curves.

use std::fmt::Write;

use serde_json::Value;

use crate::figures::Figures;

/// The page. `pictures` are files beside it.
pub fn page(document: &Value, figures: &Figures, pictures: &[String]) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let machine = &document["machine"];
    let mut page = String::from(
        "# What things cost: one run\n\n\
        *Written by the benchmark itself (`cargo run --release -p pando-bench -- --page FILE`). Ours and the peer's were measured in turn, in the same minutes; a ratio over one \
        means that Pando is better, whatever the unit. Figures move with the machine and with what else runs on it; ratios less so.*\n\n",
    );
    let _ = writeln!(
        page,
        "{}, {} cores, {} MiB, Linux {}; load before {}, after {}; {} counted runs of each side; Pando at {}.",
        text(&machine["cpu"]),
        machine["cores"],
        machine["memory_mib"],
        text(&machine["kernel"]),
        text(&document["load"]["before"]),
        text(&document["load"]["after"]),
        document["runs"],
        text(&machine["commit"]),
    );
    if document["quick"] == true {
        page.push_str("A quick run: the work of each row was a fiftieth of the usual, and so are the numbers of actors and groups.\n");
    }
    let versions = document["peers"].as_object().into_iter().flatten();
    let versions: Vec<String> = versions.map(|(name, version)| format!("{name} {}", text(version))).collect();
    if !versions.is_empty() {
        let _ = writeln!(page, "Peers: {}.", versions.join("; "));
    }
    page.push_str("\n| work | Pando | peer | ratio | target | |\n|---|---|---|---|---|---|\n");
    for row in figures.rows() {
        let cells = row.cells();
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    }
    page.push_str("\n## Remarks\n\n");
    for (what, note) in figures.notes() {
        let _ = writeln!(page, "- *{what}*: {note}.");
    }
    page.push_str("\n## Short of the target\n\n");
    let short = figures.short();
    if short.is_empty() {
        page.push_str("Nothing.\n");
    }
    for line in short {
        let _ = writeln!(page, "- {line}");
    }
    if !pictures.is_empty() {
        page.push_str("\n## Curves\n");
    }
    for picture in pictures {
        let title = picture.rsplit('/').next().unwrap_or_default().trim_end_matches(".svg").replace('-', " ");
        let _ = write!(page, "\n![{title}]({picture})\n");
    }
    page
}
