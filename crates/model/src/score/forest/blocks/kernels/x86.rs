//! The kernels of x86: a block's tests decided at once by AVX-512, or lane by lane with the instructions that AVX2 comes with.
#![allow(unsafe_code)]

use super::super::codes::GROUP;
use super::super::ranks::{Few, SLOTS};
use super::super::{linked, Block, Blocks, Head, LANES};
use super::{walked, Kernel, View};
use std::arch::x86_64::*;
use std::array::from_fn;
use std::ops::Range;

pub static AVX512: Kernel = Kernel { sum };

pub static AVX2: Kernel = Kernel { sum: avx2 };

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
fn avx2(blocks: &Blocks, roots: &[u32], numbers: &[f64], codes: &[u32]) -> f64 {
    walked(blocks, roots, numbers, codes, |bits, mask| _pdep_u64(bits, mask))
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
            let mut left = 0;
            let parts = head.part as usize..head.end as usize;
            self.view.lines.left(parts, |bits, mask| _pdep_u64(bits, mask), |_, lanes| left |= lanes);
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
