//! Seconds of a processor and memory that the rows of new products take, for a year of a chain with 90,000 products: about a
//! million weekly rows, two million rows of features. On one thread, and on a second one beside that which hands the sales
//! over. Linux only.

use allocator_api2::alloc::Global;
use features::customers::hash_of_number;
use features::launch::{Chunk, Gathering, Market, NewProducts, NewRows, Plans, Setting, WeeklySales, Worker};
use features::summary::{Sale, Summary};
use features::weeks::Week;
use features::FeatureError;

const PRODUCTS: u32 = 90_000;
const REGIONS: u32 = 5;
const WEEKS: i32 = 52;
const CATEGORIES: u64 = 300;
const CUSTOMERS: u64 = 2_500;
/// Of a hundred products so many are launched during the year.
const NEW: u64 = 46;

/// A product's weekly sales, as they are stored.
struct Product {
    category: u32,
    sales: Vec<(u32, Week, Vec<u8>)>,
}

fn week(number: i32) -> Week {
    Week::of_day(6212).plus(number)
}

/// A number from 0 up to `below` that depends on the other two.
fn random(of: u64, which: u64, below: u64) -> u64 {
    hash_of_number((of * 1000 + which) as i64) % below
}

fn product(ordinal: u32) -> Product {
    let of = u64::from(ordinal) << 20;
    let launch = if random(of, 1, 100) < NEW { 9 + random(of, 2, 44) as i32 } else { 0 };
    // Few products sell well: in so many of a thousand regions and weeks.
    let popularity = 31 + (3_000 / (1 + random(of, 3, 1000))).min(900);
    // Categories differ in size.
    let category = random(of, 4, CATEGORIES) * random(of, 5, CATEGORIES) / CATEGORIES;
    let mut sales = Vec::new();
    for place in 0..REGIONS * WEEKS as u32 + REGIONS {
        let (region, number) = (place % REGIONS, (place / REGIONS) as i32);
        let of = of + 10 + u64::from(place);
        let is_first = number == launch && region == 0;
        if number >= launch && (is_first || random(of, 6, 1000) < popularity) {
            sales.push((region, week(number), summary(of)));
        }
    }
    sales.sort_by_key(|(region, week, _)| (*region, *week));
    Product { category: category as u32, sales }
}

fn summary(of: u64) -> Vec<u8> {
    let mut summary = Summary::new();
    let lines = 1 + random(of, 7, 4).saturating_sub(1);
    for line in 0..lines {
        let sale = Sale {
            amount: Some(random(of, 10 + line, 1000) as f64 / 100.0),
            quantity: Some(1.0 + random(of, 20 + line, 3) as f64),
            discount: Some(random(of, 30 + line, 100) as f64 / 100.0),
            customer: Some(hash_of_number(random(of, 40 + line, CUSTOMERS) as i64)),
            sold_at: Some(600_000_000_000_000 + of as i64 * 1_000_000),
        };
        summary.add(&sale, Global).expect("the amounts are small");
    }
    summary.to_bytes()
}

/// Hands all products over in chunks; `full` gives back a chunk to fill.
fn feed(
    products: &[Product],
    mut chunk: Chunk,
    mut full: impl FnMut(Chunk) -> Result<Chunk, FeatureError>,
) -> Result<(), FeatureError> {
    chunk.start(0);
    for (ordinal, product) in (0..).zip(products) {
        if chunk.is_full() {
            chunk = full(chunk)?;
            chunk.start(ordinal);
        }
        chunk.add_product(product.category, None);
        for (region, week, sales) in &product.sales {
            let sales = Some(sales.as_slice());
            chunk.add_sales(&WeeklySales {
                region: *region,
                week: *week,
                purchased: true,
                returned: 0.0,
                sales,
            });
        }
    }
    full(chunk).map(drop)
}

fn alone(products: &[Product], setting: Setting) -> Result<(), FeatureError> {
    let start = Clock::start();
    let mut gathering = Gathering::new(setting, Plans::default());
    feed(products, Chunk::of(1000), |chunk| gathering.add(&chunk).map(|()| chunk))?;
    let gathered = start.seconds();
    let market = gathering.finish()?;
    let finished = start.seconds();
    let chunk = Chunk::of(market.products_at_once());
    let (mut new_products, mut rows, mut count) = (NewProducts::new(market), NewRows::default(), 0);
    feed(products, chunk, |chunk| {
        rows.clear();
        new_products.add(&chunk, &mut rows)?;
        count += rows.len();
        Ok(chunk)
    })?;
    let all = start.seconds();
    println!(
        "one thread: {all:.2} s for {count} rows (gathering {gathered:.2} s, finding out {:.2} s, rows {:.2} s)",
        finished - gathered,
        all - finished
    );
    Ok(())
}

type Piece = (Chunk, NewRows);

fn beside_another(products: &[Product], setting: Setting) -> Result<(), FeatureError> {
    let clocks = (Clock::start(), std::time::Instant::now());
    let market = gathered_by_a_worker(products, setting)?;
    let most = market.products_at_once();
    let make = |new_products: &mut NewProducts, (chunk, rows): &mut Piece| {
        rows.clear();
        new_products.add(chunk, rows)
    };
    let mut worker = Worker::start("rows", NewProducts::new(market), make).expect("a thread starts");
    let (mut count, mut spare) = (0, NewRows::default());
    feed(products, Chunk::of(most), |chunk| {
        match worker.hand_over((chunk, std::mem::take(&mut spare)))? {
            Some((chunk, rows)) => {
                count += rows.len();
                spare = rows;
                Ok(chunk)
            }
            None => Ok(Chunk::of(most)),
        }
    })?;
    while let Some((_, rows)) = worker.take_back()? {
        count += rows.len();
    }
    let (own, all) = (clocks.0.seconds(), clocks.1.elapsed().as_secs_f64());
    println!("two threads: {own:.2} s of the one that hands the sales over, {all:.2} s by the clock, for {count} rows");
    Ok(())
}

fn gathered_by_a_worker(products: &[Product], setting: Setting) -> Result<Market, FeatureError> {
    let add = |gathering: &mut Gathering, chunk: &mut Chunk| gathering.add(chunk);
    let mut worker =
        Worker::start("gathering", Gathering::new(setting, Plans::default()), add).expect("a thread starts");
    feed(products, Chunk::of(1000), |chunk| Ok(worker.hand_over(chunk)?.unwrap_or_else(|| Chunk::of(1000))))?;
    worker.finish()?.finish()
}

/// Time that the thread has run on a processor, which other programs do not change.
struct Clock(f64);

impl Clock {
    fn start() -> Self {
        Self(Self::now())
    }

    fn now() -> f64 {
        let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let nanoseconds = times.split(' ').next().and_then(|time| time.parse::<f64>().ok());
        nanoseconds.unwrap_or(f64::NAN) / 1e9
    }

    fn seconds(&self) -> f64 {
        Self::now() - self.0
    }
}

/// Peak and present memory of the process in megabytes, where the system tells them.
fn memory(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(f64::NAN) / 1024.0
}

fn main() -> Result<(), FeatureError> {
    let products: Vec<_> = (0..PRODUCTS).map(product).collect();
    println!("{} weekly rows", products.iter().map(|product| product.sales.len()).sum::<usize>());
    let last = week(WEEKS - 1);
    let setting = Setting {
        first: week(0),
        last,
        launch_weeks: 12,
        warm_up_weeks: 8,
        available: Some(week(0)),
        complete: Some(last.plus(2).monday()),
    };
    let before = memory("VmRSS:");
    alone(&products, setting)?;
    println!("peak memory: {:.0} MB more than the sales", memory("VmHWM:") - before);
    beside_another(&products, setting)
}
