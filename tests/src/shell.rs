//! A person at the `pando` program: its shell in a pipe, and its one-shot commands.
//!
//! 1. What runs too long is killed, and the test fails with what was said so far.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use crate::{Turn, program};

/// How long one command may take. One that builds a crate takes minutes where every core is busy elsewhere.
const COMMAND: Duration = Duration::from_secs(300);

/// What a run of the program said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// The exit code.
    pub code: i32,
}

fn command(data: Option<&Path>, folder: Option<&Path>) -> Command {
    let mut command = Command::new(program::path());
    program::without_cargo(&mut command).env_remove("PANDO_DATA").env_remove("PANDO_LOG").env("NO_COLOR", "1");
    if let Some(data) = data {
        command.env("PANDO_DATA", data);
    }
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    command
}

/// Runs one command to its end.
///
/// # Panics
/// If it takes too long.
pub fn pando(data: &Path, args: &[&str]) -> Said {
    run(data, None, args, "")
}

/// Runs one command in a folder, with this standard input.
///
/// # Panics
/// If it takes too long.
pub fn run(data: &Path, folder: Option<&Path>, args: &[&str], stdin: &str) -> Said {
    let mut child = command(Some(data), folder)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the pando program starts");
    let mut input = child.stdin.take().expect("a pipe");
    // It may end without having read.
    let _ = input.write_all(stdin.as_bytes());
    drop(input);
    let out = read_all(child.stdout.take().expect("a pipe"));
    let err = read_all(child.stderr.take().expect("a pipe"));
    let began = Instant::now();
    let code = loop {
        if let Some(status) = child.try_wait().expect("a child can be asked") {
            break status.code().unwrap_or(-1);
        }
        if began.elapsed() > COMMAND {
            let _ = child.kill();
            panic!("pando {args:?} does not end");
        }
        thread::sleep(Duration::from_millis(5));
    };
    let text = |reader: thread::JoinHandle<String>| reader.join().expect("a reader ends");
    Said { out: text(out), err: text(err), code }
}

fn read_all(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A shell that lines are given to one by one. Standard output and error come in one stream, in order.
pub struct Shell {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    told: Vec<String>,
    marks: u32,
    banner: Vec<String>,
    _turn: Option<Turn>,
}

/// A realm that was told to outlive its shell: whatever of it runs when this goes is ended.
pub struct Kept(pub PathBuf);

impl Drop for Kept {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let Ok(pid) = std::fs::read_to_string(entry.path().join("node.pid")) else { continue };
            // A number that the system has given to somebody else is not ours.
            let line = std::fs::read(Path::new("/proc").join(pid.trim()).join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&line).contains(&*entry.path().to_string_lossy()) {
                let _ = Command::new("kill").args(["-s", "KILL", pid.trim()]).status();
            }
        }
    }
}

impl Shell {
    /// `pando` with these arguments, in this folder; it needs `--keep-going`, for the marks.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start(args: &[&str], data: Option<&Path>, folder: Option<&Path>) -> Shell {
        // A shell beside a realm that somebody has started has no turn of its own.
        let turn = args.contains(&"up").then(Turn::take);
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let mut child = command(data, folder)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(writer.try_clone().expect("a second end"))
            .stderr(writer)
            .spawn()
            .expect("the pando program starts");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(reader).split(b'\n') {
                let Ok(line) = line else { return };
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take();
        let mut shell = Shell { child, stdin, lines, told: Vec::new(), marks: 0, banner: Vec::new(), _turn: turn };
        shell.banner = shell.say("");
        shell
    }

    /// A throw-away realm, and its shell.
    pub fn ephemeral(args: &[&str]) -> Shell {
        Shell::start(&[&["up", "--ephemeral", "--keep-going"], args].concat(), None, None)
    }

    /// What it said when it came up.
    pub fn banner(&self) -> &[String] {
        &self.banner
    }

    /// The data folder that its banner names.
    pub fn data(&self) -> PathBuf {
        let line = self.banner.iter().find(|line| line.starts_with("realm")).expect("a banner");
        line.split_whitespace().last().expect("a folder in the banner").into()
    }

    /// Gives it a line; what it says to that.
    ///
    /// # Panics
    /// If it ends, or takes too long.
    pub fn say(&mut self, line: &str) -> Vec<String> {
        self.marks += 1;
        // What it surely does not know ends the answer to what came before.
        let mark = format!("mark-{}-", self.marks);
        let stdin = self.stdin.as_mut().expect("a shell that has not been left");
        let written = writeln!(stdin, "{line}\n{mark}").and_then(|()| stdin.flush());
        let mut answer = Vec::new();
        let until = Instant::now() + COMMAND;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(said) if said.contains(&mark) => {
                    // The complaint's second line.
                    let _ = self.lines.recv_timeout(until.saturating_duration_since(Instant::now()));
                    break;
                }
                Ok(said) => answer.push(said),
                Err(RecvTimeoutError::Timeout) => self.fail(line, &answer, "no end of its answer came"),
                Err(RecvTimeoutError::Disconnected) => {
                    self.fail(line, &answer, &format!("the shell ended ({written:?})"))
                }
            }
        }
        self.told.push(format!("pando> {line}"));
        self.told.extend(answer.iter().cloned());
        answer
    }

    /// The same, as one text.
    pub fn tell(&mut self, line: &str) -> String {
        self.say(line).join("\n")
    }

    /// Gives it a line again and again until its answer is as wanted.
    ///
    /// # Panics
    /// If it never is.
    pub fn until(&mut self, line: &str, wanted: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        loop {
            let said = self.tell(line);
            if wanted(&said) {
                return said;
            }
            assert!(began.elapsed() < COMMAND, "`{line}` goes on to say:\n{said}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn fail(&self, line: &str, answer: &[String], why: &str) -> ! {
        panic!("{}\npando> {line}\n{}\n({why})", self.told.join("\n"), answer.join("\n"));
    }

    /// Leaves it by the end of its input. The exit code.
    ///
    /// # Panics
    /// If it does not end.
    pub fn leave(mut self) -> i32 {
        drop(self.stdin.take());
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                return status.code().unwrap_or(-1);
            }
            if began.elapsed() > COMMAND {
                self.fail("(end of input)", &[], "the shell does not end");
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends the shell at once, as a power cut would.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // A shell that is told of the end of its input takes its nodes along; one that is killed cannot.
        drop(self.stdin.take());
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if began.elapsed() > Duration::from_secs(20) {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        if std::thread::panicking() {
            eprintln!("---- what the shell said\n{}", self.told.join("\n"));
        }
    }
}
