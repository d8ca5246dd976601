//! How many customers there are: exactly, and as estimated.

use allocator_api2::alloc::Global;
use features::customers::{Customers, StoredCustomers, EXACT, STORED_REGISTERS};
use proptest::prelude::*;

fn of(hashes: impl Iterator<Item = u64>) -> Customers {
    let mut customers = Customers::new();
    hashes.for_each(|hash| customers.add(hash, Global));
    customers
}

fn count(customers: &Customers) -> u64 {
    let mut bytes = vec![0; customers.stored_length()];
    customers.write(&mut bytes);
    let exact = customers.exact_count().is_some();
    let stored = if exact { StoredCustomers::hashes(&bytes) } else { StoredCustomers::registers(&bytes) };
    let counted = stored.unwrap().count().unwrap();
    assert_eq!(customers.count().unwrap(), counted, "of the set and of its stored form");
    counted
}

/// Hashes that are different, of a stream of their own for each seed.
fn hashes(seed: u64, count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(move |n| (seed << 32 | n).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[test]
fn counts_are_exact_up_to_the_limit() {
    for number in [0, 1, 3, 4, 100, EXACT as u64] {
        let customers = of(hashes(1, number).chain(hashes(1, number)));
        assert_eq!((customers.exact_count(), count(&customers)), (Some(number as usize), number));
    }
    assert_eq!(of(hashes(1, EXACT as u64 + 1)).exact_count(), None);
    assert_eq!(EXACT, 384);
}

/// The mean error of many estimates is small, and their spread is what the documents say.
#[test]
fn estimates_have_the_stated_error() {
    const RUNS: u64 = 60;
    for number in [500, 3_000, 20_000, 200_000] {
        let errors: Vec<f64> =
            (0..RUNS).map(|seed| count(&of(hashes(seed, number))) as f64 / number as f64 - 1.0).collect();
        let mean = errors.iter().sum::<f64>() / RUNS as f64;
        let deviation = (errors.iter().map(|error| error * error).sum::<f64>() / RUNS as f64).sqrt();
        assert!(mean.abs() < 0.007 && deviation < 0.02, "{number}: {mean} and {deviation}");
    }
}

#[test]
fn what_is_no_set_is_refused() {
    let stored = |hashes: &[u64]| hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect::<Vec<_>>();
    assert!(StoredCustomers::hashes(&stored(&[1, 2])).is_ok());
    assert!(
        StoredCustomers::hashes(&stored(&[2, 1])).is_err()
            && StoredCustomers::hashes(&stored(&[1, 1])).is_err()
    );
    assert!(StoredCustomers::hashes(&stored(&[1])[..7]).is_err());
    let many: Vec<u64> = (0..=EXACT as u64).collect();
    assert!(StoredCustomers::hashes(&stored(&many)).is_err());
    assert!(StoredCustomers::registers(&[0; STORED_REGISTERS]).is_err());
    assert!(StoredCustomers::registers(&[0xff; STORED_REGISTERS]).is_err());
    assert!(StoredCustomers::registers(&[1; STORED_REGISTERS - 1]).is_err());
}

proptest! {
    #[test]
    fn merging_is_adding(one in prop::collection::vec(0..1000u64, 0..500), other in prop::collection::vec(0..1000u64, 0..500)) {
        let spread = |numbers: &[u64]| of(numbers.iter().map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let mut merged = spread(&one);
        merged.merge(&spread(&other), Global);
        let whole = spread(&[one, other].concat());
        let bytes = |customers: &Customers| {
            let mut bytes = vec![0; customers.stored_length()];
            customers.write(&mut bytes);
            bytes
        };
        prop_assert_eq!(bytes(&merged), bytes(&whole));
    }
}
