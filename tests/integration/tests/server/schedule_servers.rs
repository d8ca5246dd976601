//! Schedules where the server is killed, restarted or promoted, has no worker left, or has pg_cron. Each test has a server of
//! its own.

use super::schedules::{attempts, make_due, run_due, run_now, schedule_refresh, shown, YEARLY};
use super::views;
use integration::cluster::Stop;
use integration::process::Process;
use integration::{data, rows, value, wait_until, Cluster};
use postgres::{Client, NoTls};
use std::sync::{Arc, Mutex};

const DATABASE: &str = "postgres";

/// With the feature view `demand`, whose refresh is scheduled.
fn prepare(cluster: &Cluster) -> Client {
    let mut client = cluster.connect(DATABASE);
    data::create(&mut client);
    views::create(&mut client, "");
    schedule_refresh(&mut client, ", retry_delay => '1 minute'");
    client
}

/// Begins an attempt that goes on until the holder's transaction ends. Returns the worker's pid, and the holder.
fn attempt_under_way(cluster: &Cluster, client: &mut Client) -> (i32, Client) {
    let mut holder = cluster.connect(DATABASE);
    holder.batch_execute("BEGIN; LOCK TABLE sold").unwrap();
    make_due(client);
    run_due(client);
    let waits = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_recommend schedule' AND wait_event_type = 'Lock'";
    wait_until("the worker waits", || client.query_opt(waits, &[]).unwrap().is_some());
    (value(client, waits), holder)
}

fn connect_when_ready(cluster: &Cluster) -> Client {
    wait_until("the server takes connections", || cluster.try_connect(DATABASE).is_ok());
    cluster.connect(DATABASE)
}

/// What holds once the server is back: the attempt has failed, it is tried again, and then it works.
fn assert_goes_on(client: &mut Client) {
    // As it is shown at once, and as it is stored by the next call.
    assert_eq!(attempts(client, "refresh"), ["1 failed"]);
    run_due(client);
    assert_eq!(rows(client, "SELECT status FROM reco.schedule_run"), ["(failed)"]);
    let error: String = value(client, "SELECT error FROM reco.schedule_runs");
    assert!(error.contains("ended without a word"), "{error}");
    assert!(shown::<bool>(
        client,
        "refresh",
        "running_since IS NULL AND attempts_left = 2 AND next_run > now()"
    ));
    run_now(client);
    assert_eq!(attempts(client, "refresh"), ["1 failed", "2 succeeded"]);
    assert_eq!(views::contents(client, "demand"), views::built_anew(client));
}

#[test]
fn an_attempt_whose_worker_is_killed_has_failed_and_is_tried_again() {
    let cluster = Cluster::new();
    let mut client = prepare(&cluster);
    let (worker, _holder) = attempt_under_way(&cluster, &mut client);
    Process::of(worker).unwrap().kill();
    // The server ends every session and recovers.
    wait_until("the old session is ended", || client.simple_query("SELECT 1").is_err());
    assert_goes_on(&mut connect_when_ready(&cluster));
}

#[test]
fn an_attempt_that_a_shutdown_ends_is_tried_again_after_it() {
    let cluster = Cluster::new();
    let mut client = prepare(&cluster);
    let (_, holder) = attempt_under_way(&cluster, &mut client);
    // The holder goes with the server, since the attempt would go on without it.
    cluster.stop(Stop::Fast);
    drop((client, holder));
    cluster.start();
    assert_goes_on(&mut cluster.connect(DATABASE));
}

#[test]
fn a_time_that_came_while_the_server_was_down_runs_once() {
    let cluster = Cluster::new();
    let mut client = prepare(&cluster);
    make_due(&mut client);
    drop(client);
    cluster.stop(Stop::Immediate);
    cluster.start();
    let mut client = cluster.connect(DATABASE);
    for _ in 0..2 {
        client.batch_execute("CALL reco.run_due(wait => true)").unwrap();
    }
    assert_eq!(attempts(&mut client, "refresh"), ["1 succeeded"]);
}

#[test]
fn without_a_free_worker_it_is_tried_a_minute_later_and_that_counts_as_no_attempt() {
    // The only one is the server's own, for subscriptions.
    let cluster = Cluster::with("max_worker_processes = 1\n");
    let mut client = prepare(&cluster);
    run_now(&mut client);
    assert!(attempts(&mut client, "refresh").is_empty());
    assert!(shown::<String>(&mut client, "refresh", "waits_for").contains("max_worker_processes"));
    let soon = "attempts_left = 3 AND next_run BETWEEN now() + interval '50 seconds' AND now() + interval '61 seconds'";
    assert!(shown::<bool>(&mut client, "refresh", soon));
    assert!(cluster.log().contains("is tried again in a minute"));
}

#[test]
fn a_standby_runs_nothing_and_goes_on_once_it_is_promoted() {
    let cluster = Cluster::new();
    let mut primary = prepare(&cluster);
    make_due(&mut primary);
    let standby = cluster.standby();
    let mut client = standby.connect(DATABASE);
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    let mut config = standby.config(DATABASE, "postgres");
    config.notice_callback(move |notice| listener.lock().unwrap().push(notice.message().to_owned()));
    config.connect(NoTls).unwrap().batch_execute("CALL reco.run_due()").unwrap();
    assert_eq!(*told.lock().unwrap(), ["this server is a standby: schedules run on the primary"]);
    assert_eq!(shown::<String>(&mut client, "refresh", "kind"), "refresh");
    assert!(attempts(&mut client, "refresh").is_empty());
    drop(primary);
    cluster.stop(Stop::Fast);
    assert!(value::<bool>(&mut client, "SELECT pg_promote()"));
    let mut client = standby.connect(DATABASE);
    client.batch_execute("CALL reco.run_due(wait => true)").unwrap();
    assert_eq!(attempts(&mut client, "refresh"), ["1 succeeded"]);
}

#[test]
fn an_attempt_that_a_failover_ends_is_tried_again_on_the_new_primary() {
    let cluster = Cluster::new();
    let mut primary = prepare(&cluster);
    let standby = cluster.standby();
    let (_, holder) = attempt_under_way(&cluster, &mut primary);
    let mut client = standby.connect(DATABASE);
    // A standby cannot see the primary's worker, and believes what it is told.
    wait_until("the attempt has arrived", || attempts(&mut client, "refresh") == ["1 running"]);
    wait_until("its worker has arrived", || {
        value::<bool>(&mut client, "SELECT bool_and(pid IS NOT NULL) FROM reco.schedule_runs")
    });
    // The holder goes with the server, since the attempt would go on without it.
    cluster.stop(Stop::Immediate);
    drop((primary, holder));
    assert!(value::<bool>(&mut client, "SELECT pg_promote()"));
    assert_goes_on(&mut standby.connect(DATABASE));
}

#[test]
fn a_copy_of_a_database_does_not_take_the_workers_of_the_original_for_its_own() {
    let cluster = Cluster::new();
    let mut client = prepare(&cluster);
    let mut admin = cluster.connect("template1");
    drop(client);
    admin.batch_execute(&format!("CREATE DATABASE copy TEMPLATE {DATABASE}")).unwrap();
    client = cluster.connect(DATABASE);
    let (_, mut holder) = attempt_under_way(&cluster, &mut client);
    // As a dump has it that is made while the attempt is under way.
    let mut copy = cluster.connect("copy");
    let run: String = value(&mut client, "SELECT to_json(r)::text FROM reco.schedule_run AS r");
    copy.batch_execute(&format!(
        "INSERT INTO reco.schedule_run SELECT * FROM json_populate_record(NULL::reco.schedule_run, '{run}');
         UPDATE reco.schedule SET run_id = (SELECT run_id FROM reco.schedule_run), next_run = now() - interval '1 second'"
    ))
    .unwrap();
    assert_eq!(attempts(&mut client, "refresh"), ["1 running"]);
    assert_goes_on(&mut copy);
    // The original's goes on as well.
    assert_eq!(attempts(&mut client, "refresh"), ["1 running"]);
    holder.batch_execute("ROLLBACK").unwrap();
    wait_until("the original's ends", || attempts(&mut client, "refresh") == ["1 succeeded"]);
}

#[test]
fn a_database_and_a_role_that_are_renamed_are_followed_or_said_to_be_gone() {
    let cluster = Cluster::new();
    let mut admin = cluster.connect("template1");
    admin.batch_execute("CREATE DATABASE shop").unwrap();
    admin.batch_execute("CREATE ROLE keeper LOGIN").unwrap();
    let mut client = cluster.connect("shop");
    data::create(&mut client);
    views::create(&mut client, "");
    client
        .batch_execute(
            "GRANT USAGE ON SCHEMA reco TO keeper; GRANT CREATE ON SCHEMA public TO keeper; GRANT SELECT ON sold TO keeper",
        )
        .unwrap();
    let mut keeper = cluster.config("shop", "keeper").connect(NoTls).unwrap();
    keeper.batch_execute(&views::creation("kept", "")).unwrap();
    keeper.batch_execute(&format!("SELECT reco.schedule_refresh('kept', '{YEARLY}')")).unwrap();
    drop((client, keeper));
    admin.batch_execute("ALTER DATABASE shop RENAME TO store").unwrap();
    let mut client = cluster.connect("store");
    run_now(&mut client);
    assert_eq!(attempts(&mut client, "refresh"), ["1 succeeded"]);
    // Owners are known by name: nobody else is to inherit what one has scheduled.
    admin.batch_execute("ALTER ROLE keeper RENAME TO warden").unwrap();
    run_now(&mut client);
    assert_eq!(shown::<String>(&mut client, "refresh", "pause_reason"), "role \"keeper\" does not exist");
    assert_eq!(attempts(&mut client, "refresh"), ["1 succeeded"]);
    admin.batch_execute("ALTER ROLE warden RENAME TO keeper").unwrap();
    let mut keeper = cluster.config("store", "keeper").connect(NoTls).unwrap();
    keeper.batch_execute("SELECT reco.resume_schedule('refresh', 'kept')").unwrap();
    run_now(&mut client);
    assert_eq!(attempts(&mut client, "refresh"), ["1 succeeded", "1 succeeded"]);
}

#[test]
fn while_all_workers_are_busy_an_attempt_waits_says_so_and_is_not_lost() {
    // One is the server's own, for subscriptions.
    let cluster = Cluster::with("max_worker_processes = 2\n");
    let mut client = prepare(&cluster);
    client.batch_execute(&views::creation("other", "")).unwrap();
    let (_, mut holder) = attempt_under_way(&cluster, &mut client);
    client.batch_execute(&format!("SELECT reco.schedule_refresh('other', '{YEARLY}')")).unwrap();
    client.batch_execute("UPDATE reco.schedule SET next_run = now() WHERE run_id IS NULL").unwrap();
    run_due(&mut client);
    let waits = "SELECT waits_for LIKE '%max_worker_processes%' AND attempts_left = 3 AND next_run > now()
                 FROM reco.schedules WHERE subject = 'public.other'";
    assert!(value::<bool>(&mut client, waits), "{:?}", rows(&mut client, "TABLE reco.schedules"));
    assert_eq!(attempts(&mut client, "refresh"), ["1 running"]);
    holder.batch_execute("ROLLBACK").unwrap();
    wait_until("the first ends", || attempts(&mut client, "refresh") == ["1 succeeded"]);
    // The server has the worker's place back a moment after its process is gone.
    wait_until("the second has run", || {
        client
            .batch_execute("UPDATE reco.schedule SET next_run = now() WHERE waits_for IS NOT NULL")
            .unwrap();
        client.batch_execute("CALL reco.run_due(wait => true)").unwrap();
        attempts(&mut client, "refresh") == ["1 succeeded", "1 succeeded"]
    });
    assert_eq!(value::<i64>(&mut client, "SELECT count(waits_for) FROM reco.schedules"), 0);
}

const WITH_PG_CRON: &str = "
shared_preload_libraries = 'pg_stat_statements,auto_explain,pg_cron'
cron.database_name = 'postgres'
cron.use_background_workers = on
";

#[test]
fn pg_cron_runs_what_is_scheduled_and_its_job_goes_with_the_last_schedule() {
    let cluster = Cluster::with(WITH_PG_CRON);
    let mut client = cluster.connect(DATABASE);
    client.batch_execute("CREATE EXTENSION pg_cron").unwrap();
    client.batch_execute("CREATE DATABASE elsewhere").unwrap();
    let mut client = prepare(&cluster);
    let jobs = "SELECT jobname, schedule, command FROM cron.job";
    assert_eq!(rows(&mut client, jobs), ["(pg_recommend,\"* * * * *\",\"CALL reco.run_due()\")"]);
    // A second schedule, of a role that sees no jobs of others, makes no second job.
    client
        .batch_execute(
            "CREATE ROLE other LOGIN; GRANT USAGE ON SCHEMA reco, cron TO other; GRANT CREATE ON SCHEMA public TO other;
             GRANT SELECT ON sold TO other",
        )
        .unwrap();
    let mut other = cluster.config(DATABASE, "other").connect(NoTls).unwrap();
    other.batch_execute(&views::creation("others", "")).unwrap();
    other.batch_execute(&format!("SELECT reco.schedule_refresh('others', '{YEARLY}')")).unwrap();
    assert_eq!(rows(&mut client, jobs).len(), 1);

    make_due(&mut client);
    integration::wait::wait_minutes_until("pg_cron has called", || {
        attempts(&mut client, "refresh") == ["1 succeeded", "1 succeeded"]
    });
    let owners = "SELECT owner FROM reco.schedule_runs ORDER BY owner";
    assert_eq!(rows(&mut client, owners), ["(other)", "(postgres)"]);
    let called: String =
        value(&mut client, "SELECT ok || ' ' || detail FROM reco.check_setup() WHERE item = 'schedules'");
    assert!(called.starts_with("true 2 schedules are there"), "{called}");

    client.batch_execute("SELECT reco.unschedule('refresh', 'demand')").unwrap();
    assert_eq!(rows(&mut client, jobs).len(), 1);
    client.batch_execute("SELECT reco.unschedule('refresh', 'others')").unwrap();
    assert!(rows(&mut client, jobs).is_empty());
    // What called a moment ago is gone.
    schedule_refresh(&mut client, "");
    assert_eq!(rows(&mut client, jobs).len(), 1);
    client.batch_execute("SELECT reco.unschedule('refresh', 'demand')").unwrap();

    // Where pg_cron is in another database, the hint is what to run there.
    let mut elsewhere = cluster.connect("elsewhere");
    data::create(&mut elsewhere);
    views::create(&mut elsewhere, "");
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    let mut config = cluster.config("elsewhere", "postgres");
    config.notice_callback(move |notice| {
        listener.lock().unwrap().push(notice.hint().unwrap_or_default().to_owned())
    });
    schedule_refresh(&mut config.connect(NoTls).unwrap(), "");
    let hint = told.lock().unwrap().join("\n");
    let statement =
        "SELECT cron.schedule_in_database('pg_recommend', '* * * * *', 'CALL reco.run_due()', 'elsewhere')";
    assert!(hint.contains(statement), "{hint}");
    client.batch_execute(statement).unwrap();
    assert_eq!(rows(&mut client, "SELECT database FROM cron.job"), ["(elsewhere)"]);
}

#[test]
fn pg_cron_job_of_a_role_that_can_no_longer_log_in_calls_nothing_and_another_is_made() {
    let cluster = Cluster::with(WITH_PG_CRON);
    let mut client = cluster.connect(DATABASE);
    data::create(&mut client);
    client
        .batch_execute(
            "CREATE EXTENSION pg_cron; CREATE ROLE first LOGIN; GRANT USAGE ON SCHEMA reco, cron TO first;
             GRANT CREATE ON SCHEMA public TO first",
        )
        .unwrap();
    views::create(&mut client, "");
    client.batch_execute("GRANT SELECT ON sold TO first").unwrap();
    let mut first = cluster.config(DATABASE, "first").connect(NoTls).unwrap();
    first.batch_execute(&views::creation("firsts", "")).unwrap();
    first.batch_execute(&format!("SELECT reco.schedule_refresh('firsts', '{YEARLY}')")).unwrap();
    let jobs = "SELECT username FROM cron.job WHERE jobname = 'pg_recommend' ORDER BY jobid";
    assert_eq!(rows(&mut client, jobs), ["(first)"]);
    schedule_refresh(&mut client, "");
    assert_eq!(rows(&mut client, jobs), ["(first)"]);
    client.batch_execute("ALTER ROLE first NOLOGIN").unwrap();
    schedule_refresh(&mut client, "");
    assert_eq!(rows(&mut client, jobs), ["(first)", "(postgres)"]);
}
