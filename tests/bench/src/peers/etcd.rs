//! etcd: three members on loopback with logs on the disk, loaded through its own Go client.

use std::{
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{Peers, Served, figures, installed, output};

/// A cluster that runs.
pub struct Etcd {
    _members: Vec<Served>,
    clients: Vec<String>,
    load: PathBuf,
    reads: PathBuf,
}

/// How a value is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// As of now, by way of the leader.
    Linear,
    /// As of what the member has.
    Serial,
}

impl Peers {
    /// Starts a cluster of three.
    pub fn etcd(&mut self) -> Result<Etcd, String> {
        self.allowed()?;
        let program = self.place.join("etcd-server/usr/bin/etcd");
        if !program.is_file() || !installed("go") {
            return Err("is not installed: run the peers' `install.sh etcd`".to_owned());
        }
        let version = output(Command::new(&program).arg("--version"))?;
        let version = version.lines().next().and_then(|l| l.rsplit(' ').next()).unwrap_or_default();
        self.versions.insert("etcd".into(), version.to_owned());
        let load = self.go(&self.script("etcd/load.go")?, "etcd-load")?;
        let reads = self.go(&Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/reads.go"), "etcd-reads")?;
        let folder = self.folder.path().join("etcd");
        let _ = std::fs::remove_dir_all(&folder);
        // Taken together, so that they differ.
        let taken: Vec<TcpListener> =
            (0..6).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port on loopback")).collect();
        let ports: Vec<u16> = taken.iter().map(|l| l.local_addr().expect("it is bound").port()).collect();
        drop(taken);
        let (own, theirs) = ports.split_at(3);
        let all: Vec<String> = (0..3).map(|i| format!("m{i}=http://127.0.0.1:{}", own[i])).collect();
        let mut members = Vec::new();
        for i in 0..3 {
            let (peer, client) = (format!("http://127.0.0.1:{}", own[i]), format!("http://127.0.0.1:{}", theirs[i]));
            let mut command = Command::new(&program);
            command
                .args(["--name", &format!("m{i}"), "--logger", "zap", "--log-level", "error"])
                .arg("--data-dir")
                .arg(folder.join(format!("m{i}")))
                .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
                .args(["--initial-cluster", &all.join(","), "--initial-cluster-state", "new"])
                .args(["--quota-backend-bytes", "8589934592"]);
            members.push(Served::start(&mut command)?);
        }
        for port in theirs {
            let open = (0..200).any(|_| {
                std::thread::sleep(Duration::from_millis(50));
                TcpStream::connect(("127.0.0.1", *port)).is_ok()
            });
            if !open {
                return Err("a member does not listen".into());
            }
        }
        let clients = theirs.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        Ok(Etcd { _members: members, clients, load, reads })
    }

    /// Builds a Go program against the client library that Debian has.
    fn go(&self, source: &Path, name: &str) -> Result<PathBuf, String> {
        let program = self.folder.path().join(name);
        if !program.is_file() {
            let mut command = Command::new("go");
            command.arg("build").arg("-o").arg(&program).arg(source);
            command.envs([("GO111MODULE", "off"), ("GOFLAGS", ""), ("GOPATH", "/usr/share/gocode")]);
            output(command.env("GOCACHE", self.place.join("gocache")))?;
        }
        Ok(program)
    }
}

impl Etcd {
    /// Puts a second of so many waiting clients; and half and all but a hundredth of their waits, in microseconds.
    pub fn puts(&self, clients: u64, bytes: usize, seconds: u64) -> Result<[f64; 3], String> {
        let mut command = Command::new(&self.load);
        command.args(["-endpoints", &self.clients.join(","), "-reps", "1", "-seconds", &seconds.to_string()]);
        command.args(["-clients", &clients.to_string(), "-sizes", &bytes.to_string()]);
        let found = figures(&output(&mut command)?)?;
        let of = |end: &str| {
            let named = found.iter().find(|(name, _)| name.ends_with(end)).map(|(_, figure)| *figure);
            named.ok_or_else(|| format!("printed no figure {end}"))
        };
        Ok([of("client(s)")?, of("p50")?, of("p99")?])
    }

    /// Reads a second of so many waiting clients: linear ones at a follower, serial ones spread over all members.
    pub fn reads(&self, how: Reads, clients: u64, seconds: u64) -> Result<f64, String> {
        let mut command = Command::new(&self.reads);
        command.args(["-endpoints", &self.clients.join(","), "-seconds", &seconds.to_string()]);
        command.args(["-clients", &clients.to_string()]);
        if how == Reads::Serial {
            command.arg("-serial");
        }
        let found = figures(&output(&mut command)?)?;
        found.values().next().copied().ok_or_else(|| "printed no figure".into())
    }
}
