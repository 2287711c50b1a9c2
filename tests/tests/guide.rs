//! Every command that a page shows is run, in order, so that pages cannot promise what the program does not do.
//!
//! In `userland/GUIDE.md` a fenced block says by its first word what it is:
//!
//! | block | is |
//! |---|---|
//! | `sh` | lines for a shell, in a folder of their own, with `pando` on the path; each must succeed |
//! | `pando` | lines for Pando's shell; none may be refused. A comment behind one, `# -> 5`, is how its answer must begin |
//! | `rust src/lib.rs` | a file, written below the folder before what follows |
//!
//! Anything else is for reading. The bundled programs' own pages have `pando` blocks too.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use pando_tests::{program, shell::Shell};

/// A fenced block: the words behind its fence, and its lines.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    kind: String,
    place: String,
    lines: Vec<String>,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(words), None) => {
                let (kind, place) = words.trim().split_once(' ').unwrap_or((words.trim(), ""));
                open = Some(Block { kind: kind.to_owned(), place: place.trim().to_owned(), lines: Vec::new() });
            }
            (None, Some(block)) => block.lines.push(line.to_owned()),
            (None, None) => {}
        }
    }
    assert_eq!(open, None, "a block is never closed");
    found
}

/// One page being followed.
struct Reader {
    folder: PathBuf,
    shell: Shell,
}

impl Reader {
    fn new(folder: &Path) -> Reader {
        let args = ["up", "--ephemeral", "--keep-going"];
        Reader { folder: folder.to_owned(), shell: Shell::start(&args, None, Some(folder)) }
    }

    fn follow(&mut self, block: &Block) {
        match block.kind.as_str() {
            "pando" => block.lines.iter().for_each(|line| self.say(line)),
            "sh" => self.run(&block.lines),
            _ if !block.place.is_empty() => {
                let file = self.folder.join(&block.place);
                std::fs::create_dir_all(file.parent().expect("a folder")).expect("the page's folder can be made");
                std::fs::write(&file, block.lines.join("\n") + "\n").expect("the page's file can be written");
            }
            _ => {}
        }
    }

    /// A line for Pando's shell; with or without its prompt.
    fn say(&mut self, line: &str) {
        let line = line.trim().strip_prefix("pando> ").unwrap_or(line.trim());
        let (command, wanted) = line.split_once("# ->").unwrap_or((line, ""));
        let (command, wanted) = (command.trim(), wanted.trim());
        if command.is_empty() || command.starts_with('#') {
            return;
        }
        let said = self.shell.tell(command);
        assert!(
            !said.lines().any(|line| line.starts_with("error: ")),
            "the page says `{command}`, and the program:\n{said}"
        );
        assert!(
            said.starts_with(wanted),
            "the page says that `{command}` answers `{wanted}`, and the program:\n{said}"
        );
    }

    fn run(&self, lines: &[String]) {
        let folder = program::path().parent().expect("a program lies in a folder").to_owned();
        let mut path = folder.into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new("sh");
        let output = program::without_cargo(&mut command)
            .arg("-euc")
            .arg(lines.join("\n"))
            .current_dir(&self.folder)
            .env("PATH", path)
            .env("PANDO_DATA", self.shell.data())
            .env_remove("CARGO_TARGET_DIR")
            .output()
            .expect("sh runs");
        assert!(
            output.status.success(),
            "the page says:\n{}\nand the shell:\n{}{}",
            lines.join("\n"),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn every_marked_command_of_the_guide_does_what_it_says() {
    let page = program::workspace().join("userland/GUIDE.md");
    let text = std::fs::read_to_string(&page).unwrap_or_else(|e| panic!("{}: {e}", page.display()));
    let blocks = blocks(&text);
    assert!(blocks.iter().any(|b| b.kind == "pando"), "the guide has no command in it");
    let folder = tempfile::tempdir().expect("a folder");
    let mut reader = Reader::new(folder.path());
    blocks.iter().for_each(|block| reader.follow(block));
    reader.shell.leave();
}

#[test]
fn the_examples_of_the_bundled_programs_do_what_they_say() {
    let programs = program::workspace().join("userland/programs");
    let folder = tempfile::tempdir().expect("a folder");
    let mut reader = Reader::new(folder.path());
    let mut shown = 0;
    let mut names: Vec<_> =
        std::fs::read_dir(&programs).expect("there are programs").flatten().map(|e| e.path()).collect();
    names.sort();
    for program in names {
        let Ok(text) = std::fs::read_to_string(program.join("src/lib.rs")) else { continue };
        let page: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("//!")).collect();
        // The gremlin's example is meant to go wrong; `cluster_programs.rs` has it.
        let wrong = program.file_name().is_some_and(|name| name == "gremlin");
        for block in blocks(&page.join("\n")).iter().filter(|b| b.kind == "pando") {
            shown += 1;
            if !wrong {
                reader.follow(block);
            }
        }
        // The next page may use the same names.
        let names = reader.shell.tell("names --json");
        for name in names.split("\"name\":\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            reader.shell.say(&format!("kill {name}"));
            reader.shell.until("names", |said| !said.split_whitespace().any(|word| word == name));
        }
    }
    assert!(shown > 3, "only {shown} programs have an example");
    reader.shell.leave();
}

#[test]
fn blocks_are_told_apart() {
    let found = blocks("a\n```pando\ncall a b  # -> 5\n```\n```rust src/lib.rs\nfn f() {}\n```\n```text\nx\n```\n");
    let kinds: Vec<(&str, &str)> = found.iter().map(|b| (b.kind.as_str(), b.place.as_str())).collect();
    assert_eq!(kinds, [("pando", ""), ("rust", "src/lib.rs"), ("text", "")]);
    assert_eq!(found[0].lines, ["call a b  # -> 5"]);
}
