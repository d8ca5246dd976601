//! The end of a backend or of the server in the middle of a training. Each test has a server of its own.

use super::support::{status, stored_status, sum_of_scores, versions};
use integration::cluster::Stop;
use integration::process::Process;
use integration::{data, value, wait_until, Background, Cluster, Training};
use postgres::Client;

const DATABASE: &str = "postgres";

/// A server with a version of `launch`, and a training of `endless` under way.
fn server_that_trains() -> (Cluster, Client, Background, Process) {
    let cluster = Cluster::new();
    let mut client = cluster.connect(DATABASE);
    data::create(&mut client);
    Training::new("launch").call(&mut client);
    let training = Training::endless("endless");
    let (training, trainer) = Background::training(cluster.connect(DATABASE), &training, &mut client);
    (cluster, client, training, trainer)
}

fn connect_when_ready(cluster: &Cluster) -> Client {
    wait_until("the server takes connections", || cluster.try_connect(DATABASE).is_ok());
    cluster.connect(DATABASE)
}

/// What holds after any end: the run is over, the next training records that, and scores are as before.
fn assert_recovered(client: &mut Client, expected: f64) {
    assert_eq!(status(client, "endless"), "failed");
    let words: String = value(client, "SELECT error FROM reco.runs WHERE model = 'endless'");
    assert!(words.contains("ended"), "{words}");
    assert_eq!(value::<i64>(client, "SELECT count(*) FROM reco.training_progress"), 0);
    assert_eq!(sum_of_scores(client, "launch"), expected);
    Training::new("launch").call(client);
    assert_eq!(stored_status(client, "endless"), "failed");
    assert!(value::<bool>(client, "SELECT finished_at IS NOT NULL FROM reco.run WHERE model = 'endless'"));
    assert_eq!(versions(client, "launch"), [1, 2]);
    assert!(versions(client, "endless").is_empty());
    assert_eq!(value::<i64>(client, "SELECT count(*) FROM pg_ls_tmpdir()"), 0);
}

#[test]
fn kill_9_of_the_backend_leaves_no_trainer_and_a_failed_run() {
    let (cluster, mut client, training, trainer) = server_that_trains();
    let expected = sum_of_scores(&mut client, "launch");
    Process::of(training.backend).unwrap().kill();
    trainer.wait_until_gone();
    assert!(training.finish().result.is_err());
    // The server ends every session and recovers.
    wait_until("the old session is ended", || client.simple_query("SELECT 1").is_err());
    let mut client = connect_when_ready(&cluster);
    assert_recovered(&mut client, expected);
}

#[test]
fn an_immediate_shutdown_leaves_no_trainer_and_a_failed_run() {
    let (cluster, mut client, training, trainer) = server_that_trains();
    let expected = sum_of_scores(&mut client, "launch");
    cluster.stop(Stop::Immediate);
    trainer.wait_until_gone();
    assert!(training.finish().result.is_err());
    cluster.start();
    assert_recovered(&mut cluster.connect(DATABASE), expected);
}

#[test]
fn kill_9_of_the_whole_server_leaves_no_trainer() {
    let (cluster, mut client, training, trainer) = server_that_trains();
    let expected = sum_of_scores(&mut client, "launch");
    let postmaster = value::<String>(&mut client, "SELECT pg_read_file('postmaster.pid')");
    let postmaster = Process::of(postmaster.lines().next().unwrap().parse().unwrap()).unwrap();
    postmaster.kill();
    trainer.wait_until_gone();
    assert!(training.finish().result.is_err());
    postmaster.wait_until_gone();
    // Its last backends end by themselves; until then a new server refuses the old one's memory.
    wait_until("the old session is ended", || client.simple_query("SELECT 1").is_err());
    wait_until("nobody uses the old server's memory", || cluster.try_start());
    assert_recovered(&mut cluster.connect(DATABASE), expected);
}

#[test]
fn a_fast_shutdown_ends_the_training_and_the_server_restarts() {
    let (cluster, mut client, training, trainer) = server_that_trains();
    let expected = sum_of_scores(&mut client, "launch");
    cluster.stop(Stop::Fast);
    assert!(!trainer.is_alive());
    assert!(training.finish().result.is_err());
    cluster.start();
    let mut client = cluster.connect(DATABASE);
    let stored = stored_status(&mut client, "endless");
    assert!(["cancelled", "failed"].contains(&stored.as_str()), "{stored}");
    assert_eq!(sum_of_scores(&mut client, "launch"), expected);
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM pg_ls_tmpdir()"), 0);
    Training::new("endless").call(&mut client);
    assert_eq!(versions(&mut client, "endless"), [1]);
}
