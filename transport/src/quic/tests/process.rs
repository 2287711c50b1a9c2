//! A real process that is really killed: this test program runs itself.

use super::*;
use std::io::BufRead;

const ROLE: &str = "PANDO_TRANSPORT_TEST_PEER";

/// Not a test of its own: what the child does. Ends at once when there is no role for it.
#[test]
fn child() {
    let Ok(addr) = std::env::var(ROLE) else {
        return;
    };
    let addr: SocketAddr = addr.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut node = TestNode::start(config(2, 20));
        println!("\nlistening {}", node.place().1);
        node.quic.set_members(members(&[(1, addr), node.place()], &[]));
        loop {
            node.next().await;
        }
    });
}

#[tokio::test]
async fn a_killed_process_is_noticed_soon_and_one_that_lives_is_not_taken_for_dead() {
    let mut a = TestNode::start(config(1, 10));
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "quic::tests::process::child", "--nocapture"])
        .env(ROLE, a.place().1.to_string())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let addr = lines.find_map(|line| line.unwrap().strip_prefix("listening ").map(str::to_owned)).unwrap();
    a.quic.set_members(members(&[a.place(), (2, addr.parse().unwrap())], &[]));
    assert_eq!(a.up().await, (2, 20));
    // An idle session outlives several times the silence that counts as death.
    let quiet = tokio::time::timeout(Duration::from_secs(3), a.events.recv()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    let start = std::time::Instant::now();
    let (_, reason) = a.down().await;
    assert!(reason.contains("silent"), "{reason}");
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert_eq!(a.send(2, Channel::Raft, "x"), Err(SendError::Down));
}
