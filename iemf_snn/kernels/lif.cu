// LIF over T steps and the batch norm before it, forward and backward: the source of backend "cupy".
//
//     z[t] = scale·x[t] + shift                    (norm kernels; the plain ones have z = x)
//     u_pre, s, u: Eq. 3 on z                      (iemf_snn/functional.py)
//
// Memory is flat: T blocks of n elements, which hold batch, channels and pixels in whatever order they lie. Element i
// belongs to channel (i / inner) % channels; inner is 1 for channels_last, the pixels of a plane for contiguous. Where
// every step sees the same input, x is one block and x_step, the distance from step to step, is 0.
//
// A thread owns V neighbouring elements through all T steps, so potentials live in registers: nothing but x and the
// gradients is read, nothing but spikes and gradients is written, and the backward pass computes potentials again.
// Arithmetic is float32 whatever S is. Compile without contraction to fused multiply-adds: then spikes are bit for bit
// those of the reference.

// Half and BFloat16 are the bits alone, so that no header of the CUDA toolkit is needed.
struct Half { unsigned short bits; };
struct BFloat16 { unsigned short bits; };

#ifdef __CUDACC_RTC__
__device__ __forceinline__ float half_to_float(unsigned short bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}
__device__ __forceinline__ unsigned short float_to_half(float value) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}
#endif  // elsewhere whoever includes this file supplies the two

__device__ __forceinline__ float as_float(float value) { return value; }
__device__ __forceinline__ float as_float(Half value) { return half_to_float(value.bits); }
__device__ __forceinline__ float as_float(BFloat16 value) { return __uint_as_float((unsigned)value.bits << 16); }

__device__ __forceinline__ void put(float& out, float value) { out = value; }
__device__ __forceinline__ void put(Half& out, float value) { out.bits = float_to_half(value); }
__device__ __forceinline__ void put(BFloat16& out, float value) {
    const unsigned bits = __float_as_uint(value);  // to nearest even; the carry must not make a number of a NaN
    out.bits = value != value ? 0x7FC0 : (unsigned short)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

// V elements that are loaded and stored at once.
template <typename S, int V>
struct alignas(sizeof(S) * V) Vector { S lane[V]; };

template <typename S, int V>
__device__ __forceinline__ void load(const S* from, float (&to)[V]) {
    const Vector<S, V> vector = *reinterpret_cast<const Vector<S, V>*>(from);
#pragma unroll
    for (int k = 0; k < V; ++k) to[k] = as_float(vector.lane[k]);
}

template <typename S, int V>
__device__ __forceinline__ void store(S* to, const float (&from)[V]) {
    Vector<S, V> vector;
#pragma unroll
    for (int k = 0; k < V; ++k) put(vector.lane[k], from[k]);
    *reinterpret_cast<Vector<S, V>*>(to) = vector;
}

template <int V>
__device__ __forceinline__ void fill(float (&values)[V], float value) {
#pragma unroll
    for (int k = 0; k < V; ++k) values[k] = value;
}

// The constants of Eq. 3; exact says that 1 / tau is, so that it may stand for the division.
struct Constants {
    float tau, inverse, threshold, v_reset, alpha;
    bool exact, decay_input;
};

#define CONSTANTS \
    float tau, float inverse, float threshold, float v_reset, float alpha, int exact, int decay_input
#define THE_CONSTANTS \
    Constants { tau, inverse, threshold, v_reset, alpha, exact != 0, decay_input != 0 }

__device__ __forceinline__ float charge(float z, float v, const Constants& p) {
    const float away = v - p.v_reset;
    if (p.decay_input) return v + (p.exact ? (z - away) * p.inverse : (z - away) / p.tau);
    return v - (p.exact ? away * p.inverse : away / p.tau) + z;
}

// One block of z: the input itself, or the norm of it. Channels are looked up once for all steps.
template <int V>
struct Identity {
    __device__ __forceinline__ float operator()(float x, int) const { return x; }
};

template <int V>
struct Norm {
    float scale[V], shift[V];
    __device__ __forceinline__ float operator()(float x, int k) const { return x * scale[k] + shift[k]; }
};

// table[channel] of each of V elements from i on; they share a channel, or lie in neighbouring ones.
template <int V>
__device__ __forceinline__ void look_up(const float* table, unsigned i, unsigned channels, unsigned inner,
                                        float (&values)[V]) {
    const unsigned first = (i / inner) % channels;
#pragma unroll
    for (int k = 0; k < V; ++k) values[k] = table[inner == 1 ? first + k : first];
}

// Spikes of V elements from i on; v holds u[0] on entry and u[T] on return.
template <typename S, int T, int V, typename Input>
__device__ __forceinline__ void fire(const S* x, unsigned x_step, S* spikes, unsigned n, unsigned i,
                                     const Input& input, float (&v)[V], const Constants& p) {
#pragma unroll
    for (int t = 0; t < T; ++t) {
        float z[V];
        load<S, V>(x + (unsigned long long)t * x_step + i, z);
#pragma unroll
        for (int k = 0; k < V; ++k) {
            const float u_pre = charge(input(z[k], k), v[k], p);
            const bool fires = u_pre >= p.threshold;
            z[k] = fires ? 1.0f : 0.0f;
            v[k] = fires ? p.v_reset : u_pre;
        }
        store<S, V>(spikes + (unsigned long long)t * n + i, z);
    }
}

// Gradients of z of V elements from i on, all steps; v holds u[0] on entry, grad_v that of u[T], on return of u[0].
template <typename S, int T, int V, typename Input>
__device__ __forceinline__ void gradients(const S* grad, const S* x, unsigned x_step, unsigned n, unsigned i,
                                          const Input& input, float (&v)[V], float (&grad_v)[V], float (&g)[T][V],
                                          const Constants& p) {
#pragma unroll
    for (int t = 0; t < T; ++t) {
        load<S, V>(x + (unsigned long long)t * x_step + i, g[t]);
#pragma unroll
        for (int k = 0; k < V; ++k) {
            const float u_pre = charge(input(g[t][k], k), v[k], p);
            g[t][k] = u_pre;
            v[k] = u_pre >= p.threshold ? p.v_reset : u_pre;
        }
    }
    const float slope = p.alpha * p.alpha, leak = 1.0f - 1.0f / p.tau, gain = p.decay_input ? 1.0f / p.tau : 1.0f;
#pragma unroll
    for (int t = T - 1; t >= 0; --t) {
        float upstream[V];
        load<S, V>(grad + (unsigned long long)t * n + i, upstream);
#pragma unroll
        for (int k = 0; k < V; ++k) {
            const float u_pre = g[t][k];
            float derivative = p.alpha - slope * fabsf(u_pre - p.threshold);
            derivative = derivative < 0.0f ? 0.0f : derivative;  // lets NaN through
            const float held = u_pre < p.threshold ? 1.0f : 0.0f;
            const float grad_u = upstream[k] * derivative + held * grad_v[k];
            grad_v[k] = leak * grad_u;
            g[t][k] = gain * grad_u;
        }
    }
}

// v, v_last, grad_v and grad_v_first may be null: rest, not wanted, zero, not wanted.
template <typename S, int T, int V>
__global__ void lif_forward(const S* __restrict__ x, const float* __restrict__ v, S* __restrict__ spikes,
                            float* __restrict__ v_last, unsigned n, CONSTANTS) {
    const unsigned i = (blockIdx.x * blockDim.x + threadIdx.x) * V;
    if (i >= n) return;
    const Constants p = THE_CONSTANTS;
    float potential[V];
    if (v) load<float, V>(v + i, potential);
    else fill(potential, p.v_reset);
    fire<S, T, V>(x, n, spikes, n, i, Identity<V>(), potential, p);
    if (v_last) store<float, V>(v_last + i, potential);
}

template <typename S, int T, int V>
__global__ void lif_backward(const S* __restrict__ grad, const float* __restrict__ grad_v, const S* __restrict__ x,
                             const float* __restrict__ v, S* __restrict__ grad_x, float* __restrict__ grad_v_first,
                             unsigned n, CONSTANTS) {
    const unsigned i = (blockIdx.x * blockDim.x + threadIdx.x) * V;
    if (i >= n) return;
    const Constants p = THE_CONSTANTS;
    float potential[V], carried[V], g[T][V];
    if (v) load<float, V>(v + i, potential);
    else fill(potential, p.v_reset);
    if (grad_v) load<float, V>(grad_v + i, carried);
    else fill(carried, 0.0f);
    gradients<S, T, V>(grad, x, n, n, i, Identity<V>(), potential, carried, g, p);
#pragma unroll
    for (int t = 0; t < T; ++t) store<S, V>(grad_x + (unsigned long long)t * n + i, g[t]);
    if (grad_v_first) store<float, V>(grad_v_first + i, carried);
}

template <typename S, int T, int V>
__global__ void norm_lif_forward(const S* __restrict__ x, unsigned x_step, const float* __restrict__ scale,
                                 const float* __restrict__ shift, S* __restrict__ spikes, unsigned n,
                                 unsigned channels, unsigned inner, CONSTANTS) {
    const unsigned i = (blockIdx.x * blockDim.x + threadIdx.x) * V;
    if (i >= n) return;
    const Constants p = THE_CONSTANTS;
    Norm<V> norm;
    look_up<V>(scale, i, channels, inner, norm.scale);
    look_up<V>(shift, i, channels, inner, norm.shift);
    float potential[V];
    fill(potential, p.v_reset);
    fire<S, T, V>(x, x_step, spikes, n, i, norm, potential, p);
}

// Partial sums [gridDim.y, 2, channels] over elements and steps of g_z and of g_z·(x - mean).
// A block is blockDim.x columns by blockDim.y rows, a power of two, THREADS in all. A column is a channel (contiguous)
// or V neighbouring channels (channels_last); a row is V neighbouring positions (contiguous) or one.
constexpr int THREADS = 256;

template <typename S, int T, int V>
__global__ void norm_lif_sums(const S* __restrict__ grad, const S* __restrict__ x, unsigned x_step,
                              const float* __restrict__ scale, const float* __restrict__ shift,
                              const float* __restrict__ mean, float* __restrict__ partial, unsigned n,
                              unsigned channels, unsigned inner, CONSTANTS) {
    __shared__ float sums[2][V][THREADS];
    const Constants p = THE_CONSTANTS;
    const bool channels_last = inner == 1;
    const unsigned column = blockIdx.x * blockDim.x + threadIdx.x;
    const unsigned columns = channels_last ? channels / V : channels;
    const unsigned rows = n / channels / (channels_last ? 1 : V);
    const unsigned channel = channels_last ? column * V : column;
    float first[V], second[V];
    fill(first, 0.0f);
    fill(second, 0.0f);
    if (column < columns) {
        Norm<V> norm;
        float means[V];
        for (int k = 0; k < V; ++k) {
            const unsigned c = channels_last ? channel + k : channel;
            norm.scale[k] = scale[c], norm.shift[k] = shift[c], means[k] = mean[c];
        }
        for (unsigned row = blockIdx.y * blockDim.y + threadIdx.y; row < rows; row += gridDim.y * blockDim.y) {
            const unsigned position = row * V;
            const unsigned i = channels_last ? row * channels + channel
                                             : (position / inner * channels + channel) * inner + position % inner;
            float potential[V], carried[V], g[T][V];
            fill(potential, p.v_reset);
            fill(carried, 0.0f);
            gradients<S, T, V>(grad, x, x_step, n, i, norm, potential, carried, g, p);
#pragma unroll
            for (int t = 0; t < T; ++t) {
                float values[V];
                load<S, V>(x + (unsigned long long)t * x_step + i, values);
#pragma unroll
                for (int k = 0; k < V; ++k) {
                    first[k] += g[t][k];
                    second[k] += g[t][k] * (values[k] - means[k]);
                }
            }
        }
    }
    const unsigned thread = threadIdx.y * blockDim.x + threadIdx.x;
    for (int k = 0; k < V; ++k) sums[0][k][thread] = first[k], sums[1][k][thread] = second[k];
    for (unsigned half = blockDim.y / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.y < half)
            for (int k = 0; k < V; ++k)
                for (int which = 0; which < 2; ++which)
                    sums[which][k][thread] += sums[which][k][thread + half * blockDim.x];
    }
    if (threadIdx.y > 0 || column >= columns) return;
    for (int which = 0; which < 2; ++which) {
        float* out = partial + (blockIdx.y * 2 + which) * channels + channel;
        if (channels_last) {
            for (int k = 0; k < V; ++k) out[k] = sums[which][k][thread];
        } else {
            float sum = 0.0f;
            for (int k = 0; k < V; ++k) sum += sums[which][k][thread];
            *out = sum;
        }
    }
}

// grad_x = scale·g_z + slope·(x - mean) + offset, g_z summed over the steps where x_step is 0.
template <typename S, int T, int V>
__global__ void norm_lif_backward(const S* __restrict__ grad, const S* __restrict__ x, unsigned x_step,
                                  const float* __restrict__ scale, const float* __restrict__ shift,
                                  const float* __restrict__ mean, const float* __restrict__ slope,
                                  const float* __restrict__ offset, S* __restrict__ grad_x, unsigned n,
                                  unsigned channels, unsigned inner, CONSTANTS) {
    const unsigned i = (blockIdx.x * blockDim.x + threadIdx.x) * V;
    if (i >= n) return;
    const Constants p = THE_CONSTANTS;
    Norm<V> norm;
    float means[V], slopes[V], offsets[V], potential[V], carried[V], g[T][V];
    look_up<V>(scale, i, channels, inner, norm.scale);
    look_up<V>(shift, i, channels, inner, norm.shift);
    look_up<V>(mean, i, channels, inner, means);
    look_up<V>(slope, i, channels, inner, slopes);
    look_up<V>(offset, i, channels, inner, offsets);
    fill(potential, p.v_reset);
    fill(carried, 0.0f);
    gradients<S, T, V>(grad, x, x_step, n, i, norm, potential, carried, g, p);
#pragma unroll
    for (int t = 0; t < T; ++t) {
        if (x_step == 0 && t + 1 < T) {  // one x for all steps: g goes on to the last
#pragma unroll
            for (int k = 0; k < V; ++k) g[t + 1][k] += g[t][k];
            continue;
        }
        float values[V];
        const unsigned long long at = (unsigned long long)t * x_step + i;
        load<S, V>(x + at, values);
#pragma unroll
        for (int k = 0; k < V; ++k)
            values[k] = norm.scale[k] * g[t][k] + slopes[k] * (values[k] - means[k]) + offsets[k];
        store<S, V>(grad_x + at, values);
    }
}
