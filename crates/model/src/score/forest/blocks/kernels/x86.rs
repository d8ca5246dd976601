//! The kernels of x86. Both decide all tests of a block at once; AVX-512 also finds all ends at once, where AVX2 goes from lane to
//! lane.
#![allow(unsafe_code)]

use super::super::codes::GROUP;
use super::super::ranks::{Few, SLOTS};
use super::super::{linked, rows, Block, Blocks, Head, LANES};
use super::{deposit, Kernel, View};
use crate::score::forest::Rows;
use std::arch::x86_64::*;
use std::array::from_fn;
use std::ops::Range;

pub static AVX512: Kernel = Kernel { is_fast: true, fewest: 24, sum, sums };

pub static AVX2: Kernel = Kernel { is_fast: true, fewest: 8, sum: sum_by_avx2, sums: sums_by_avx2 };

pub fn available() -> Vec<&'static Kernel> {
    let mut kernels = Vec::new();
    let bmi2 = is_x86_feature_detected!("bmi2") && is_x86_feature_detected!("popcnt");
    let avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
    if bmi2 && avx512 && is_x86_feature_detected!("avx512vbmi") {
        kernels.push(&AVX512);
    }
    if bmi2 && is_x86_feature_detected!("avx2") {
        kernels.push(&AVX2);
    }
    kernels
}

/// # Safety
/// The processor has the instructions.
#[target_feature(enable = "avx2,bmi2,popcnt")]
fn sum_by_avx2(blocks: &Blocks, roots: &[u32], numbers: &[f64], codes: &[u32]) -> f64 {
    let view = View::new(blocks, numbers, codes, |few, number| count_by_avx2(few, number));
    let ranks: [__m256i; SLOTS / HALF] = from_fn(|n| {
        let bytes: &[u8; HALF] = view.ranks[n * HALF..].first_chunk().unwrap_or(&[0; HALF]);
        // SAFETY: so many bytes are there.
        _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
    });
    let ranks = &ranks[..blocks.ranks.slots().div_ceil(HALF).min(SLOTS / HALF)];
    view.walked::<true>(roots, |block, head| {
        // Not by the instruction: the first processors with AVX2 from AMD take many steps for it.
        let by_code = view.left_by_code(head, deposit);
        let [low, high] = [0, 1].map(|half| u64::from(lanes_left(block, head, half, ranks)));
        by_code | low | high << 32
    })
}

/// # Safety
/// The processor has the instructions.
#[target_feature(enable = "avx2,bmi2,popcnt")]
fn sums_by_avx2(blocks: &Blocks, roots: &[u32], rows: &Rows, sums: &mut [f64]) {
    rows::sums(blocks, roots, rows, |few, number| count_by_avx2(few, number), sums);
}

/// Bytes that AVX2 looks up at once.
const HALF: usize = 16;

/// How many of the thresholds are not above the number.
///
/// # Safety
/// The processor has the instructions.
#[target_feature(enable = "avx2,popcnt")]
#[inline]
fn count_by_avx2(few: &Few, number: f64) -> usize {
    let number = _mm256_set1_pd(number);
    let masks = [0, 4, 8, 12].map(|at| {
        // SAFETY: four thresholds are there.
        let four = unsafe { _mm256_loadu_pd(few.as_ptr().add(at)) };
        (_mm256_movemask_pd(_mm256_cmp_pd::<_CMP_LE_OQ>(four, number)) as u32) << at
    });
    masks.iter().fold(0, |all, mask| all | mask).count_ones() as usize
}

/// Which lanes of one half of a block go left because of their ranks, which come by sixteen, each sixteen twice.
///
/// # Safety
/// The processor has the instructions.
#[target_feature(enable = "avx2")]
#[inline]
fn lanes_left(block: &Block, head: &Head, half: usize, ranks: &[__m256i]) -> u32 {
    let load = |lanes: &[u8; LANES]| {
        // SAFETY: `half` is 0 or 1, and so many bytes are there.
        unsafe { _mm256_loadu_si256(lanes.as_ptr().add(half % 2 * LANES / 2).cast()) }
    };
    let slot = load(&block.slot);
    let mut rank = _mm256_setzero_si256();
    for (n, ranks) in ranks.iter().enumerate() {
        // Below 16 if the slot is one of these; what is not has its highest bit set by the addition, and is looked up as 0.
        let among = _mm256_xor_si256(slot, _mm256_set1_epi8((n * HALF) as i8));
        let index = _mm256_adds_epu8(among, _mm256_set1_epi8(0x70));
        rank = _mm256_or_si256(rank, _mm256_shuffle_epi8(*ranks, index));
    }
    // -1 in the lanes whose missing numbers go left: each byte of the mask eight times, and of each its own bit.
    let missing = _mm256_set1_epi32((head.missing >> (half % 2 * LANES / 2)) as i32);
    let bytes = _mm256_set_epi64x(0x0303_0303_0303_0303, 0x0202_0202_0202_0202, 0x0101_0101_0101_0101, 0);
    let bits = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64 as i64);
    let own = _mm256_and_si256(_mm256_shuffle_epi8(missing, bytes), bits);
    let rank = _mm256_sub_epi8(rank, _mm256_cmpeq_epi8(own, bits));
    let not_below = _mm256_cmpeq_epi8(_mm256_max_epu8(rank, load(&block.below)), rank);
    !(_mm256_movemask_epi8(not_below) as u32)
}

/// # Safety
/// The processor has the instructions.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi2,popcnt")]
fn sum(blocks: &Blocks, roots: &[u32], numbers: &[f64], codes: &[u32]) -> f64 {
    let view = View::new(blocks, numbers, codes, |few, number| count(few, number));
    match (blocks.ranks.slots() > SLOTS / 2, blocks.steps.first().copied().unwrap_or(0)) {
        (false, ..=16) => sum_in::<false, 4>(&view, roots),
        (false, ..=32) => sum_in::<false, 5>(&view, roots),
        (false, _) => sum_in::<false, 6>(&view, roots),
        (true, ..=16) => sum_in::<true, 4>(&view, roots),
        (true, ..=32) => sum_in::<true, 5>(&view, roots),
        (true, _) => sum_in::<true, 6>(&view, roots),
    }
}

/// # Safety
/// The processor has the instructions.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi2,popcnt")]
fn sums(blocks: &Blocks, roots: &[u32], rows: &Rows, sums: &mut [f64]) {
    rows::sums(blocks, roots, rows, |few, number| count(few, number), sums);
}

/// How many of the thresholds are not above the number.
///
/// # Safety
/// The processor has the instructions.
#[target_feature(enable = "avx512f,popcnt")]
#[inline]
fn count(few: &Few, number: f64) -> usize {
    let number = _mm512_set1_pd(number);
    // SAFETY: both halves have eight thresholds.
    let (low, high) = unsafe { (_mm512_loadu_pd(few.as_ptr()), _mm512_loadu_pd(few.as_ptr().add(8))) };
    let low = u16::from(_mm512_cmp_pd_mask::<_CMP_LE_OQ>(low, number));
    let high = u16::from(_mm512_cmp_pd_mask::<_CMP_LE_OQ>(high, number));
    (low | high << 8).count_ones() as usize
}

/// What is known of a group of blocks once their tests are decided.
struct Decided<'a> {
    view: &'a View<'a>,
    ranks: [__m512i; 4],
    /// For each lane of each block the lane at which the way from there ends.
    ends: [[u8; LANES]; GROUP],
    /// The lanes that go left.
    left: [u64; GROUP],
}

/// The blocks of a group are decided before the leaves are read that they lead to: the processor is busy with the next
/// block while it waits for memory.
///
/// # Safety
/// The processor has the instructions.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi2,popcnt")]
#[inline]
fn sum_in<const WIDE: bool, const LEAPS: usize>(view: &View, mut roots: &[u32]) -> f64 {
    let ranks = from_fn(|n| load(view.ranks[LANES * n..].first_chunk().unwrap_or(&[0; LANES])));
    let mut decided = Decided { view, ranks, ends: [[0; LANES]; GROUP], left: [0; GROUP] };
    let mut further = Decided { view, ranks, ends: [[0; LANES]; GROUP], left: [0; GROUP] };
    let mut sum = 0.0;
    while let Some(first) = roots.first() {
        let group = *first as usize / LANES / GROUP;
        decided.decide::<WIDE, LEAPS>(group * GROUP..(group + 1) * GROUP);
        let mine = roots.iter().take_while(|root| **root as usize / LANES / GROUP == group).count();
        let (now, later) = roots.split_at(mine);
        roots = later;
        for roots in now.chunks(GROUP) {
            sum = decided.add::<WIDE, LEAPS>(sum, roots, &mut further);
        }
    }
    sum
}

impl Decided<'_> {
    /// Decides neighbouring blocks.
    ///
    /// # Safety
    /// The processor has the instructions.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi2,popcnt")]
    #[inline]
    fn decide<const WIDE: bool, const LEAPS: usize>(&mut self, group: Range<usize>) {
        let end = group.end.min(self.view.blocks.len());
        let (Some(blocks), Some(heads)) =
            (self.view.blocks.get(group.start..end), self.view.heads.get(group.start..end))
        else {
            return;
        };
        let (Some(first), Some(last)) = (heads.first(), heads.last()) else { return };
        self.left = [0; GROUP];
        let left = &mut self.left;
        self.view.lines.left(
            first.part as usize..last.end as usize,
            |bits, mask| _pdep_u64(bits, mask),
            |block, lanes| left[block] |= lanes,
        );
        let to = self.ends.iter_mut().zip(&mut self.left);
        for ((block, head), (ends, left)) in blocks.iter().zip(heads).zip(to) {
            *left = decide::<WIDE, LEAPS>(block, head, &self.ranks, *left, ends);
        }
    }

    /// Adds the leaves of a few trees that begin in the decided blocks.
    ///
    /// # Safety
    /// The processor has the instructions.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi2,popcnt")]
    #[inline]
    fn add<const WIDE: bool, const LEAPS: usize>(
        &self,
        before: f64,
        roots: &[u32],
        further: &mut Self,
    ) -> f64 {
        let mut exits = [0; GROUP];
        let mut leaves = [0.0; GROUP];
        let mut sum = before;
        for ((root, exit), leaf) in roots.iter().zip(&mut exits).zip(&mut leaves) {
            *exit = self.exit(*root as usize / LANES % GROUP, *root as usize);
            *leaf = self.view.exit(*exit);
            sum += *leaf;
        }
        if sum.is_nan() {
            // Some trees go on in further blocks.
            while leaves.iter().any(|leaf| leaf.is_nan()) {
                further.follow::<WIDE, LEAPS>(&mut exits, &mut leaves);
            }
            sum = leaves[..roots.len()].iter().fold(before, |sum, leaf| sum + leaf);
        }
        sum
    }

    /// The exit that a way takes from a place; `at` says where its block is among the decided ones.
    #[inline(always)]
    fn exit(&self, at: usize, place: usize) -> usize {
        let end = usize::from(self.ends[at][place % LANES]) % LANES;
        (place / LANES * LANES + end).wrapping_sub((self.left[at] >> end & 1) as usize)
    }

    /// Goes on to the end of one more block, where the way to a leaf is not at its end. A link that does not lead forward is
    /// the end.
    ///
    /// # Safety
    /// The processor has the instructions.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi2,popcnt")]
    fn follow<const WIDE: bool, const LEAPS: usize>(
        &mut self,
        exits: &mut [usize; GROUP],
        leaves: &mut [f64; GROUP],
    ) {
        let (mut open, mut count) = ([0; GROUP], 0);
        for (n, (leaf, exit)) in leaves.iter_mut().zip(&*exits).enumerate() {
            let is_link = leaf.is_nan();
            if is_link && linked(*leaf) as usize <= *exit {
                *leaf = 0.0;
            }
            open[count % GROUP] = n;
            count += usize::from(is_link);
        }
        let open = &open[..count.min(GROUP)];
        for (at, n) in open.iter().enumerate() {
            let place = linked(leaves[*n % GROUP]) as usize;
            let Some((block, head)) = self.view.block(place / LANES) else { continue };
            let left = self.view.left_by_code(head, |bits, mask| _pdep_u64(bits, mask));
            self.left[at] = decide::<WIDE, LEAPS>(block, head, &self.ranks, left, &mut self.ends[at]);
        }
        for (at, n) in open.iter().enumerate() {
            let place = linked(leaves[*n % GROUP]) as usize;
            exits[*n % GROUP] = self.exit(at, place);
            leaves[*n % GROUP] = self.view.exit(exits[*n % GROUP]);
        }
    }
}

/// # Safety
/// The processor has the instructions.
#[target_feature(enable = "avx512f")]
#[inline]
fn load(bytes: &[u8; LANES]) -> __m512i {
    // SAFETY: so many bytes are there.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// Finds the ends of all lanes' ways through a block, and says which lanes go left; `left` are those that do so because of
/// a code.
///
/// # Safety
/// The processor has the instructions.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
fn decide<const WIDE: bool, const LEAPS: usize>(
    block: &Block,
    head: &Head,
    ranks: &[__m512i; 4],
    left: u64,
    ends: &mut [u8; LANES],
) -> u64 {
    let slot = load(&block.slot);
    let mut rank = _mm512_permutex2var_epi8(ranks[0], slot, ranks[1]);
    if WIDE {
        let high = _mm512_permutex2var_epi8(ranks[2], slot, ranks[3]);
        rank = _mm512_mask_blend_epi8(_mm512_movepi8_mask(slot), rank, high);
    }
    let rank = _mm512_mask_sub_epi8(rank, head.missing, rank, _mm512_set1_epi8(-1));
    let left = left | _mm512_cmplt_epu8_mask(rank, load(&block.below));
    let [right_next, left_next] = &block.next;
    let mut next = _mm512_mask_blend_epi8(left, load(right_next), load(left_next));
    // Each leap goes twice as far as the one before.
    for _ in 0..LEAPS {
        next = _mm512_permutexvar_epi8(next, next);
    }
    // SAFETY: so many bytes have room there.
    unsafe { _mm512_storeu_si512(ends.as_mut_ptr().cast(), next) };
    left
}
