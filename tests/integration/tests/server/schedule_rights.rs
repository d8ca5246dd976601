//! Who may schedule, see and change what, what is refused, and what pauses.

use super::schedules::{
    attempts, make_due, run_due, run_due_to_the_end, run_now, schedule_refresh, shown, with_refresh, YEARLY,
};
use super::views;
use integration::query::major_version;
use integration::{refusal, rows, value, Database, Training};
use postgres::Client;

#[test]
fn what_cannot_be_scheduled_is_refused() {
    let (_database, mut client) = with_refresh("");
    let cases = [
        ("'demand', '0 4 * *'", "22023", "does not have five fields", "'0 4 * * mon'"),
        ("'demand', '61 4 * * *'", "22023", "is not understood", "five fields"),
        ("'demand', '0 4 30 2 *'", "22023", "never comes", "such a day"),
        (
            "'demand', '0 4 * * *', time_zone => 'Mars/Olympus'",
            "22023",
            "unknown time zone \"Mars/Olympus\"",
            "IANA",
        ),
        ("'demand', '0 4 * * *', retries => 21", "22023", "from 0 to 20", ""),
        ("'demand', '0 4 * * *', retries => -1", "22023", "from 0 to 20", ""),
        ("'demand', '0 4 * * *', retry_delay => '0'", "22023", "retry_delay is 1 second to 1 day", ""),
        ("'demand', '0 4 * * *', retry_delay => '2 days'", "22023", "retry_delay is 1 second to 1 day", ""),
        ("'demand', '0 4 * * *', timeout => '-1 hour'", "22023", "timeout is 1 second to 7 days", ""),
        ("'demand', '0 4 * * *', timeout => NULL", "22023", "timeout must not be NULL", ""),
        ("'demand', NULL", "22023", "schedule must not be NULL", ""),
        ("'demand', '0 4 * * *', lookback => -1", "22023", "lookback", ""),
        ("'sold', '0 4 * * *'", "22023", "is not a feature view", "reco.feature_views"),
    ];
    for (arguments, code, message, hint) in cases {
        refusal(&mut client, &format!("SELECT reco.schedule_refresh({arguments})")).expect(
            code,
            &[message],
            &[hint],
        );
    }
    let retraining = |client: &mut Client, arguments: &str| {
        refusal(client, &format!("SELECT reco.schedule_retraining({arguments})"))
    };
    retraining(&mut client, "'nothing', '0 4 * * *'").expect("42704", &["\"nothing\""], &["reco.models"]);
    client.batch_execute("CREATE ROLE schedule_luck LOGIN").unwrap();
    Training::new("launch").call(&mut client);
    retraining(&mut client, "'launch', '0 4 * * *', metric => 'luck'").expect(
        "22023",
        &["\"luck\""],
        &["auroc"],
    );
    retraining(&mut client, "'launch', '0 4 * * *', min_gain => -1").expect("22023", &["min_gain"], &[]);
    refusal(&mut client, "SELECT reco.unschedule('refresh', 'sold')").expect(
        "42704",
        &["refresh of sold"],
        &["reco.schedules"],
    );
    refusal(&mut client, "SELECT reco.unschedule('dream', 'sold')").expect(
        "22023",
        &["\"dream\""],
        &["retraining"],
    );
    client.batch_execute("BEGIN").unwrap();
    refusal(&mut client, "CALL reco.run_due()").expect("25001", &["transaction block"], &[]);
    client.batch_execute("ROLLBACK").unwrap();
    refusal(&mut client, "CALL reco.run_due(NULL)").expect("22023", &["wait must not be NULL"], &[]);
}

#[test]
fn only_those_who_may_can_schedule_see_and_change() {
    let database = Database::trained();
    let mut admin = database.connect();
    admin
        .batch_execute(
            "CREATE ROLE schedule_trainer LOGIN; CREATE ROLE schedule_manager LOGIN; CREATE ROLE schedule_stranger LOGIN;
             CREATE ROLE schedule_group; CREATE ROLE schedule_looker LOGIN;
             GRANT USAGE ON SCHEMA reco TO schedule_trainer, schedule_manager, schedule_stranger, schedule_group, schedule_looker;
             SELECT reco.grant_model('launch', 'schedule_trainer', 'train');
             SELECT reco.grant_model('launch', 'schedule_group', 'train');
             SELECT reco.grant_model('launch', 'schedule_manager', 'manage'); GRANT schedule_group TO schedule_trainer",
        )
        .unwrap();
    views::create(&mut admin, "");
    let [mut trainer, mut manager, mut stranger] =
        ["schedule_trainer", "schedule_manager", "schedule_stranger"].map(|role| database.connect_as(role));
    let retrain = format!("SELECT reco.schedule_retraining('launch', '{YEARLY}')");
    refusal(&mut stranger, &retrain).expect("42501", &["permission denied to train"], &["schedule_stranger"]);
    refusal(&mut trainer, &format!("SELECT reco.schedule_refresh('demand', '{YEARLY}')")).expect(
        "42501",
        &["must be owner"],
        &[],
    );
    // A worker connects as the role; from PostgreSQL 17 on it may, whether the role can log in or not.
    if major_version(&mut admin) < 17 {
        refusal(&mut trainer, &format!("SET ROLE schedule_group; {retrain}")).expect(
            "42501",
            &["\"schedule_group\" cannot log in"],
            &["LOGIN"],
        );
        trainer.batch_execute("RESET ROLE").unwrap();
    }
    trainer.batch_execute(&retrain).unwrap();
    refusal(&mut manager, &retrain).expect(
        "42501",
        &["scheduled by role \"schedule_trainer\""],
        &["reco.unschedule"],
    );
    let seen = "SELECT count(*) FROM reco.schedules";
    assert_eq!([&mut trainer, &mut manager, &mut stranger].map(|role| value::<i64>(role, seen)), [1, 1, 0]);
    // A stranger is told of a schedule that is there what is told of one that is not; who sees it is told whose it is.
    schedule_refresh(&mut admin, "");
    admin.batch_execute("SELECT reco.grant_model('launch', 'schedule_looker', 'train')").unwrap();
    let mut looker = database.connect_as("schedule_looker");
    for call in ["unschedule", "pause_schedule", "resume_schedule"] {
        for (kind, subject) in [
            ("retraining", "launch"),
            ("monitoring", "launch"),
            ("refresh", "demand"),
            ("retraining", "none"),
        ] {
            refusal(&mut stranger, &format!("SELECT reco.{call}('{kind}', '{subject}')")).expect(
                "42704",
                &[&format!("there is no schedule for the {kind} of {subject}")],
                &["reco.schedules lists"],
            );
        }
        refusal(&mut looker, &format!("SELECT reco.{call}('retraining', 'launch')")).expect(
            "42501",
            &["scheduled by role \"schedule_trainer\""],
            &["manages the model"],
        );
    }
    admin.batch_execute("SELECT reco.unschedule('refresh', 'demand')").unwrap();
    // Nobody reads or writes the tables themselves.
    for sql in [
        "TABLE reco.schedule",
        "DELETE FROM reco.schedule_run",
        "UPDATE reco.schedule SET owner = 'postgres'",
    ] {
        refusal(&mut trainer, sql).expect("42501", &["permission denied"], &[]);
    }
    // Anybody may call, which starts what the owner asked for.
    make_due(&mut admin);
    run_due_to_the_end(&mut stranger);
    assert_eq!(attempts(&mut manager, "retraining").len(), 1);
    let ran_as = "SELECT login FROM reco.audit WHERE action = 'retrained'";
    assert_eq!(rows(&mut admin, ran_as), ["(schedule_trainer)"]);
    assert_eq!(value::<i64>(&mut stranger, "SELECT count(*) FROM reco.schedule_runs"), 0);
    manager.batch_execute("SELECT reco.pause_schedule('retraining', 'launch', 'stocktaking')").unwrap();
    assert_eq!(shown::<String>(&mut trainer, "retraining", "pause_reason"), "stocktaking");
    trainer.batch_execute("SELECT reco.resume_schedule('retraining', 'launch')").unwrap();
    manager.batch_execute("SELECT reco.unschedule('retraining', 'launch')").unwrap();
    assert_eq!(value::<i64>(&mut admin, seen), 0);
    manager.batch_execute(&retrain).unwrap();
}

#[test]
fn what_is_paused_does_not_run_until_it_is_resumed() {
    let (_database, mut client) = with_refresh("");
    client.batch_execute("SELECT reco.pause_schedule('refresh', 'demand')").unwrap();
    run_now(&mut client);
    assert!(attempts(&mut client, "refresh").is_empty());
    assert!(shown::<bool>(&mut client, "refresh", "paused AND next_run IS NULL AND paused_at IS NOT NULL"));
    let next = "SELECT reco.resume_schedule('refresh', 'public.demand') > now()";
    assert!(value::<bool>(&mut client, next));
    assert!(shown::<bool>(&mut client, "refresh", "NOT paused AND next_run > now()"));
    run_now(&mut client);
    assert_eq!(attempts(&mut client, "refresh"), ["1 succeeded"]);
}

#[test]
fn a_role_a_model_a_view_or_a_privilege_that_is_gone_pauses_with_a_reason() {
    let database = Database::trained();
    let mut client = database.connect();
    client
        .batch_execute("CREATE ROLE schedule_gone LOGIN; GRANT USAGE ON SCHEMA reco TO schedule_gone; GRANT CREATE ON SCHEMA public TO schedule_gone")
        .unwrap();
    let mut owner = database.connect_as("schedule_gone");
    let retrain = format!("SELECT reco.schedule_retraining('launch', '{YEARLY}')");
    let paused = |client: &mut Client, kind: &str, words: &str| {
        run_now(client);
        let reason: String = shown(client, kind, "pause_reason");
        assert!(reason.contains(words), "{reason}");
        assert!(shown::<bool>(client, kind, "paused"));
        assert!(attempts(client, kind).is_empty());
    };
    let grant = |client: &mut Client| {
        client.batch_execute("SELECT reco.grant_model('launch', 'schedule_gone', 'train')").unwrap();
    };
    grant(&mut client);
    owner.batch_execute(&retrain).unwrap();
    client.batch_execute("SELECT reco.revoke_model('launch', 'schedule_gone', 'train')").unwrap();
    paused(&mut client, "retraining", "schedule_gone");
    // Nothing is tried again until somebody resumes it; what is still wrong pauses it again.
    client.batch_execute("SELECT reco.resume_schedule('retraining', 'launch')").unwrap();
    paused(&mut client, "retraining", "schedule_gone");
    grant(&mut client);
    if major_version(&mut client) < 17 {
        client
            .batch_execute(
                "ALTER ROLE schedule_gone NOLOGIN; SELECT reco.resume_schedule('retraining', 'launch')",
            )
            .unwrap();
        paused(&mut client, "retraining", "cannot log in");
    }
    client.batch_execute("ALTER ROLE schedule_gone LOGIN; REVOKE USAGE ON SCHEMA reco FROM schedule_gone; SELECT reco.resume_schedule('retraining', 'launch')").unwrap();
    paused(&mut client, "retraining", "may not use the schema reco");
    client.batch_execute("GRANT USAGE ON SCHEMA reco TO schedule_gone; SELECT reco.resume_schedule('retraining', 'launch'); SELECT reco.drop_model('launch', force => true)").unwrap();
    paused(&mut client, "retraining", "model \"launch\" does not exist");

    views::create(&mut client, "");
    schedule_refresh(&mut client, "");
    // A view is found under its new name, and what is dropped is said.
    client.batch_execute("ALTER TABLE demand RENAME TO demand_now").unwrap();
    assert_eq!(shown::<String>(&mut client, "refresh", "subject"), "public.demand_now");
    run_now(&mut client);
    assert_eq!(attempts(&mut client, "refresh"), ["1 succeeded"]);
    client
        .batch_execute("DELETE FROM reco.schedule_run; SELECT reco.drop_feature_view('demand_now')")
        .unwrap();
    paused(&mut client, "refresh", "was dropped");
    let subject: String = shown(&mut client, "refresh", "subject");
    client.batch_execute(&format!("SELECT reco.unschedule('refresh', '{subject}')")).unwrap();

    client.batch_execute("UPDATE reco.schedule SET owner = 'schedule_gone'; SELECT reco.resume_schedule('retraining', 'launch')").unwrap();
    drop(owner);
    client.batch_execute("DROP OWNED BY schedule_gone; DROP ROLE schedule_gone").unwrap();
    paused(&mut client, "retraining", "role \"schedule_gone\" does not exist");
    client.batch_execute("SELECT reco.unschedule('retraining', 'launch')").unwrap();
}

#[test]
fn a_transaction_that_is_left_open_keeps_no_other_schedule_from_running() {
    let (database, mut client) = with_refresh("");
    client.batch_execute(&views::creation("other", "")).unwrap();
    client.batch_execute(&format!("SELECT reco.schedule_refresh('other', '{YEARLY}')")).unwrap();
    make_due(&mut client);
    let mut left_open = database.connect();
    left_open.batch_execute("BEGIN; SELECT reco.pause_schedule('refresh', 'demand')").unwrap();
    run_due_to_the_end(&mut client);
    let ran = "SELECT subject FROM reco.schedule_runs WHERE status = 'succeeded'";
    assert_eq!(rows(&mut client, ran), ["(public.other)"]);
    left_open.batch_execute("ROLLBACK").unwrap();
    run_due_to_the_end(&mut client);
    assert_eq!(attempts(&mut client, "refresh"), ["1 succeeded", "1 succeeded"]);
}

#[test]
fn schedules_that_nothing_calls_are_told_when_they_are_made_and_by_check_setup() {
    let database = Database::with_data();
    let mut client = database.connect();
    views::create(&mut client, "");
    let finding = |client: &mut Client| -> String {
        value(client, "SELECT ok || ' ' || detail FROM reco.check_setup() WHERE item = 'schedules'")
    };
    assert!(finding(&mut client).starts_with("true "));
    let told = database.told_by(&format!("SELECT reco.schedule_refresh('demand', '{YEARLY}')"));
    assert!(told.iter().any(|line| line.starts_with("WARNING: nothing calls reco.run_due()")), "{told:?}");
    assert!(finding(&mut client).starts_with("false "));
    run_due(&mut client);
    assert!(finding(&mut client).starts_with("true "));
    let told = database.told_by(&format!("SELECT reco.schedule_refresh('demand', '{YEARLY}')"));
    assert!(told.is_empty(), "{told:?}");
    client.batch_execute("UPDATE reco.schedule_call SET called_at = now() - interval '6 minutes'").unwrap();
    assert!(finding(&mut client).contains("reco.run_due()"));
}
