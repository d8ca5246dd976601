use super::support::{status, versions, wait_for_status};
use integration::{rows, value, wait_until, Background, Database, Training};

#[test]
fn another_session_sees_epochs_while_it_trains() {
    let database = Database::with_data();
    let mut observer = database.connect();
    let (training, _) = Background::training(database.connect(), &Training::endless("launch"), &mut observer);
    assert_eq!(status(&mut observer, "launch"), "running");
    let progress = "SELECT model = 'launch' AND started_by = 'postgres' AND epochs = 100000 AND epoch >= 1 \
                           AND train_loss > 0 AND validation_loss > 0 FROM reco.training_progress";
    assert!(value::<bool>(&mut observer, progress));
    let newest = "SELECT max(epoch) FROM reco.run_metrics WHERE model = 'launch'";
    let before: i32 = value(&mut observer, newest);
    wait_until("more epochs are seen", || value::<i32>(&mut observer, newest) > before);

    training.cancel();
    assert_eq!(training.finish().refusal().code, "57014");
    wait_for_status(&mut observer, "launch", "cancelled");
    assert!(rows(&mut observer, "SELECT * FROM reco.training_progress").is_empty());
    assert!(value::<i32>(&mut observer, newest) > before, "the epochs of a cancelled run are kept");
    assert!(versions(&mut observer, "launch").is_empty());
}

#[test]
fn no_snapshot_is_held_while_it_trains() {
    let database = Database::with_data();
    let mut observer = database.connect();
    let (training, _) = Background::training(database.connect(), &Training::endless("launch"), &mut observer);
    // Between its short transactions the backend holds none; a snapshot held throughout would show each time.
    let sql = format!("SELECT backend_xmin IS NULL FROM pg_stat_activity WHERE pid = {}", training.backend);
    wait_until("the backend holds no snapshot", || value::<bool>(&mut observer, &sql));
    training.cancel();
    training.finish();
}
