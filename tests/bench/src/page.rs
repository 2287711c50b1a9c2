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
    let busy = text(&document["load"]["before"]).split(' ').next().and_then(|n| n.parse::<f64>().ok());
    if busy.is_some_and(|load| load > 0.5) {
        page.push_str(
            "Other work ran on the same machine: the ratios say where things stand, not how far apart they are.\n",
        );
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
    for line in &short {
        let _ = writeln!(page, "- {line}");
    }
    if !short.is_empty() {
        page.push_str("\nWhere the time of these goes, and what was tried: [SHORT.md](SHORT.md).\n");
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        duel::Duel,
        figures::{Better, Target},
    };

    #[test]
    fn a_page_has_every_row_what_falls_short_and_whether_the_machine_was_quiet() {
        let mut figures = Figures::new(Vec::new());
        let duel = Duel { ours: vec![1.0, 2.0, 3.0], theirs: Ok(vec![4.0]) };
        let peer = ("a peer", Target::Times(3.0));
        figures.versus("a", "calls", ("calls/s", Better::More), peer, duel).note("8 B");
        let document = |load: &str| json!({ "load": { "before": load, "after": load }, "runs": 3, "quick": false });
        let page = page(&document("3.10 2.00 1.00"), &figures, &["results/a-b.svg".into()]);
        for part in [
            "| calls | 2.00 (1.00 .. 3.00) calls/s | a peer 4.00 | 0.50x | 3.00x | short |",
            "- *calls*: 8 B.",
            "- calls: 0.50x of a peer, wanted 3.00x",
            "![a b](results/a-b.svg)",
            "Other work ran on the same machine",
        ] {
            assert!(page.contains(part), "{part} is missing in:\n{page}");
        }
        assert!(!super::page(&document("0.10 0.20 0.30"), &figures, &[]).contains("Other work"));
    }
}
