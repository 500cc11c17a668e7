// Runs the kernels of lif.cu on the host: blocks one after the other; their threads in turn, or, where a kernel has
// barriers, as threads of the host.

#include <barrier>
#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __restrict__
#define __shared__ static

struct Dimensions { unsigned x, y; };
static thread_local Dimensions threadIdx, blockIdx;
static Dimensions blockDim, gridDim;
static std::barrier<>* at_barrier = nullptr;

static void __syncthreads() { at_barrier->arrive_and_wait(); }

static float __uint_as_float(unsigned bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}

static unsigned __float_as_uint(float value) {
    unsigned bits;
    std::memcpy(&bits, &value, 4);
    return bits;
}

static float half_to_float(unsigned short bits) {
    const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    const float size = exponent == 31 ? (mantissa ? NAN : INFINITY)
                       : exponent     ? std::ldexp(1024.0f + mantissa, exponent - 25)
                                      : std::ldexp((float)mantissa, -24);
    return bits >> 15 ? -size : size;
}

static unsigned short float_to_half(float value) {
    const unsigned short sign = std::signbit(value) ? 0x8000 : 0;
    if (value != value) return 0x7E00;
    if (value == 0.0f) return sign;
    const float size = std::fabs(value);
    if (size >= 65520.0f) return sign | 0x7C00;
    int exponent;
    std::frexp(size, &exponent);  // size = f·2^exponent, f in [0.5, 1): 11 bits of it are kept
    exponent = exponent < -13 ? -13 : exponent;
    const int kept = (int)std::nearbyint(std::ldexp(size, 11 - exponent));  // ties to even
    return sign | (unsigned short)(kept + ((exponent + 13) << 10));  // a carry moves into the exponent, as it should
}

#include SOURCE

template <typename... Arguments>
void each_thread(void (*kernel)(Arguments...), bool barriers, void** values) {
    const auto call = [&](unsigned x, unsigned y, Dimensions block) {
        threadIdx = {x, y};
        blockIdx = block;
        [&]<std::size_t... i>(std::index_sequence<i...>) {
            kernel(*static_cast<std::remove_reference_t<Arguments>*>(values[i])...);
        }(std::index_sequence_for<Arguments...>{});
    };
    for (unsigned by = 0; by < gridDim.y; ++by)
        for (unsigned bx = 0; bx < gridDim.x; ++bx) {
            std::barrier<> barrier(blockDim.x * blockDim.y);
            at_barrier = &barrier;
            std::vector<std::thread> threads;
            for (unsigned y = 0; y < blockDim.y; ++y)
                for (unsigned x = 0; x < blockDim.x; ++x)
                    if (barriers) threads.emplace_back(call, x, y, Dimensions{bx, by});
                    else call(x, y, Dimensions{bx, by});
            for (auto& thread : threads) thread.join();
        }
}

using Launch = void (*)(void**);
static std::map<std::string, Launch>& kernels() {
    static std::map<std::string, Launch> all;
    return all;
}

template <typename S, int T, int V>
void add(const std::string& scalar) {
    const std::string arguments = "<" + scalar + ", " + std::to_string(T) + ", " + std::to_string(V) + ">";
    kernels()["lif_forward" + arguments] = [](void** a) { each_thread(lif_forward<S, T, V>, false, a); };
    kernels()["lif_backward" + arguments] = [](void** a) { each_thread(lif_backward<S, T, V>, false, a); };
    kernels()["norm_lif_forward" + arguments] = [](void** a) { each_thread(norm_lif_forward<S, T, V>, false, a); };
    kernels()["norm_lif_sums" + arguments] = [](void** a) { each_thread(norm_lif_sums<S, T, V>, true, a); };
    kernels()["norm_lif_backward" + arguments] = [](void** a) { each_thread(norm_lif_backward<S, T, V>, false, a); };
}

template <typename S, int V>
void add_steps(const std::string& scalar) {
    add<S, 1, V>(scalar), add<S, 2, V>(scalar), add<S, 3, V>(scalar), add<S, 4, V>(scalar), add<S, 8, V>(scalar);
}

// 0, or 1 where there is no such kernel. values: the addresses of the arguments, as for a launch on the device.
extern "C" int run(const char* expression, unsigned gx, unsigned gy, unsigned bx, unsigned by, void** values) {
    if (kernels().empty()) {
        add_steps<float, 1>("float"), add_steps<float, 2>("float"), add_steps<float, 4>("float");
        add_steps<Half, 1>("Half"), add_steps<Half, 2>("Half"), add_steps<Half, 8>("Half"), add_steps<Half, 4>("Half");
        add_steps<BFloat16, 1>("BFloat16"), add_steps<BFloat16, 2>("BFloat16");
        add_steps<BFloat16, 4>("BFloat16"), add_steps<BFloat16, 8>("BFloat16");
    }
    const auto found = kernels().find(expression);
    if (found == kernels().end()) return 1;
    gridDim = {gx, gy};
    blockDim = {bx, by};
    found->second(values);
    return 0;
}

extern "C" float widen(unsigned short bits) { return half_to_float(bits); }
extern "C" unsigned short narrow(float value) { return float_to_half(value); }
