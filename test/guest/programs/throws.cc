// A C++ program that throws and catches: through frames, by base class, out of a constructor, and
// rethrown; and one thread-local object.
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace
{

struct guard {
    explicit guard(std::string given) : name(std::move(given)) {}
    ~guard() { std::cout << "unwound " << name << "\n"; }
    std::string name;
};

thread_local int depth_reached = 0;

void descend(int depth)
{
    guard here("level " + std::to_string(depth));
    depth_reached = depth;
    if (depth == 5)
        throw std::out_of_range("deep enough");
    descend(depth + 1);
}

struct half_made {
    half_made() : first("member") { throw std::string("constructor refused"); }
    guard first;
};

} // namespace

int main()
{
    try {
        descend(1);
    } catch (const std::logic_error &e) {
        std::cout << "caught " << e.what() << " at depth " << depth_reached << "\n";
    }
    try {
        half_made h;
    } catch (const std::string &s) {
        std::cout << "caught " << s << "\n";
    }
    try {
        try {
            std::vector<int>().at(3);
        } catch (...) {
            std::cout << "rethrowing\n";
            throw;
        }
    } catch (const std::exception &) {
        std::cout << "caught again\n";
    }
    std::map<std::string, int> counts;
    for (const char *word : {"thunk", "merge", "thunk", "scope"})
        counts[word]++;
    for (const auto &[word, count] : counts)
        std::cout << word << " " << count << "\n";
    return 0;
}
