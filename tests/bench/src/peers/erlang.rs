//! Erlang: a virtual machine that evaluates what it is told, and a pair of them with TLS between.
//!
//! 1. The machines run the peers' own modules; only `beside.erl` is ours, for work that those do not have.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use super::{Peers, Served, compile, free_port, installed, output};

/// Reads an expression a line, and answers with a line that begins with `=`.
const LISTEN: &str = r#"spawn(fun() ->
    L = fun L() -> case io:get_line("") of
        Line when is_list(Line) ->
            {ok, T, _} = erl_scan:string(Line),
            {ok, E} = erl_parse:parse_exprs(T),
            R = try {value, V, _} = erl_eval:exprs(E, []), {ok, V} catch C:X -> {no, C, X} end,
            io:format("~n=~0p~n", [R]), L();
        _ -> halt(0) end end,
    io:format("=ready~n"), L() end)."#;

/// A virtual machine that listens.
pub struct Erlang {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Peers {
    /// A virtual machine of two schedulers with the peers' modules.
    pub fn erlang(&mut self) -> Result<Erlang, String> {
        let ebin = self.erlang_modules()?;
        let words = ["+P", "4000000", "+S", "2:2"].map(str::to_owned);
        Erlang::start(&[ebin], &words, &[])
    }

    /// The folder with their modules and ours, compiled.
    pub fn erlang_modules(&mut self) -> Result<PathBuf, String> {
        self.allowed()?;
        if !installed("erl") || !installed("erlc") {
            return Err("is not installed: run the peers' `install.sh erlang`".to_owned());
        }
        let ebin = self.folder.path().join("ebin");
        if !ebin.is_dir() {
            let names = ["anchor_lib.erl", "anchor_gs.erl", "anchor_local.erl", "anchor_dist.erl"];
            let mut files = Vec::new();
            for name in names {
                files.push(self.script(&format!("erlang/{name}"))?);
            }
            files.push(own("beside.erl"));
            compile(&ebin, &[], &files)?;
            let said = output(Command::new("erl").args([
                "-noshell",
                "-eval",
                "io:format(\"~s, erts ~s\", [erlang:system_info(otp_release), erlang:system_info(version)]), halt().",
            ]))?;
            self.versions.insert("Erlang/OTP".into(), said);
        }
        Ok(ebin)
    }

    /// Two virtual machines on loopback with TLS between: both sides show a certificate of a throw-away authority.
    pub fn erlang_pair(&mut self) -> Result<Pair, String> {
        let ebin = self.erlang_modules()?;
        let mut words: Vec<String> = ["-start_epmd", "false", "-setcookie", "bench"].map(str::to_owned).into();
        words.extend(["-kernel", "inet_dist_use_interface", "{127,0,0,1}"].map(str::to_owned));
        let file = certificates(&self.folder.path().join("tls"))?;
        words.extend(["-proto_dist", "inet_tls", "-ssl_dist_optfile"].map(str::to_owned));
        words.push(file.display().to_string());
        let mapper = Mapper::start()?;
        let start = |name: &str| {
            let mut words = words.clone();
            words.extend(["-name".to_owned(), format!("{name}@127.0.0.1")]);
            Erlang::start(std::slice::from_ref(&ebin), &words, &mapper.env())
        };
        let server = start("server")?;
        let mut client = start("client")?;
        let met = client.eval("anchor_dist:wait_for('server@127.0.0.1', 50)")?;
        if met != "pong" {
            return Err(format!("the two virtual machines did not meet: {met}"));
        }
        Ok(Pair { client, _server: server, _mapper: mapper })
    }
}

/// Two virtual machines that know each other.
pub struct Pair {
    /// The one that is told.
    pub client: Erlang,
    _server: Erlang,
    _mapper: Mapper,
}

/// A port mapper of one's own.
pub(super) struct Mapper {
    port: u16,
    _child: Served,
}

impl Mapper {
    pub(super) fn start() -> Result<Mapper, String> {
        let port = free_port();
        let child = Served::start(Command::new("epmd").args(["-address", "127.0.0.1", "-port", &port.to_string()]))?;
        let mapper = Mapper { port, _child: child };
        for _ in 0..100 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(mapper);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err("epmd does not listen".into())
    }

    pub(super) fn env(&self) -> [(&'static str, String); 2] {
        [("ERL_EPMD_PORT", self.port.to_string()), ("ERL_EPMD_ADDRESS", "127.0.0.1".into())]
    }
}

impl Erlang {
    pub(super) fn start(paths: &[PathBuf], words: &[String], env: &[(&str, String)]) -> Result<Erlang, String> {
        let mut command = Command::new("erl");
        command.arg("-noshell").args(words);
        for path in paths {
            command.arg("-pa").arg(path);
        }
        command.args(["-eval", LISTEN]).env("ERL_CRASH_DUMP_SECONDS", "0");
        command.envs(env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|e| format!("erl does not start: {e}"))?;
        let to = child.stdin.take().expect("it is piped");
        let from = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut erlang = Erlang { child, to, from };
        erlang.answer()?;
        Ok(erlang)
    }

    fn answer(&mut self) -> Result<String, String> {
        let mut said = String::new();
        loop {
            let mut line = String::new();
            match self.from.read_line(&mut line) {
                Ok(0) => return Err(format!("the virtual machine ended: {}", said.trim())),
                Err(e) => return Err(format!("the virtual machine cannot be read: {e}")),
                Ok(_) => {}
            }
            if let Some(answer) = line.strip_prefix('=') {
                return Ok(answer.trim().to_owned());
            }
            said = line;
        }
    }

    /// What an expression gives.
    pub fn eval(&mut self, expression: &str) -> Result<String, String> {
        let line = expression.replace('\n', " ");
        writeln!(self.to, "{line}.").and_then(|()| self.to.flush()).map_err(|e| format!("it cannot be told: {e}"))?;
        let answer = self.answer()?;
        match answer.strip_prefix("{ok,").and_then(|a| a.strip_suffix('}')) {
            Some(value) => Ok(value.to_owned()),
            None => Err(answer),
        }
    }

    /// The numbers in what it gives: one, or a list or tuple of them.
    pub fn numbers(&mut self, expression: &str) -> Result<Vec<f64>, String> {
        let value = self.eval(expression)?;
        let found: Result<Vec<f64>, _> = value
            .split([',', '{', '}', '[', ']', ' '])
            .filter(|word| !word.is_empty() && *word != "rate")
            .map(str::parse)
            .collect();
        found.map_err(|_| format!("`{expression}` gave {value}"))
    }

    /// The first of them.
    pub fn number(&mut self, expression: &str) -> Result<f64, String> {
        self.numbers(expression)?.first().copied().ok_or_else(|| format!("`{expression}` gave no number"))
    }

    /// Operations a second of something that gives how many it did, or the rate itself.
    pub fn rate(&mut self, expression: &str) -> Result<f64, String> {
        self.number(&format!("anchor_lib:one(fun() -> {expression} end)"))
    }
}

impl Drop for Erlang {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A module of ours.
pub(super) fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
}

/// A throw-away authority and a certificate of it; gives the file that Erlang's distribution wants.
fn certificates(folder: &Path) -> Result<PathBuf, String> {
    let conf = folder.join("ssl_dist.conf");
    if conf.is_file() {
        return Ok(conf);
    }
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let write = |name: &str, text: String| {
        std::fs::write(folder.join(name), text).map_err(|e| format!("{}/{name}: {e}", folder.display()))
    };
    let openssl = |words: &str| output(Command::new("openssl").current_dir(folder).args(words.split(' ')));
    let curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {curve} -days 30 -subj /CN=ca -keyout ca.key -out ca.pem"))?;
    openssl(&format!("req {curve} -subj /CN=127.0.0.1 -keyout node.key -out node.csr"))?;
    write("ext", "subjectAltName=IP:127.0.0.1,DNS:127.0.0.1\n".into())?;
    openssl("x509 -req -in node.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile ext -out node.pem")?;
    let at = folder.display();
    let files =
        format!(r#"{{certfile, "{at}/node.pem"}}, {{keyfile, "{at}/node.key"}}, {{cacertfile, "{at}/ca.pem"}}"#);
    let server = format!("{{server, [{files}, {{verify, verify_peer}}, {{fail_if_no_peer_cert, true}}]}}");
    let client = format!("{{client, [{files}, {{verify, verify_peer}}]}}");
    write("ssl_dist.conf", format!("[{server}, {client}].\n"))?;
    Ok(conf)
}
